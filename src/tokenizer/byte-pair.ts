import { writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { WaveGPTError } from "../../lib/errors.js";
import type { NativeEncoding } from "./native.js";
import type { StreamDecoder, Tokenizer, TokenizerIdentity } from "./tokenizer.js";

export interface EncodeOptions {
  /**
   * Special tokens that the text may become, by name, or `"all"`. Default none: `<|endoftext|>` in a text is ordinary
   * characters, as in tiktoken's `encode_ordinary`.
   */
  readonly allowedSpecial?: "all" | readonly string[];
}

/** A token that is looked for in the text before it is split into words. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  /** Looked for only where {@link EncodeOptions.allowedSpecial} says so; the others always. */
  readonly special: boolean;
}

/** How a kind of byte-pair tokenizer differs from others. */
export interface BytePairParts {
  readonly encoding: NativeEncoding;
  readonly vocabSize: number;
  readonly added: readonly AddedToken[];
  /** Text is brought to Unicode's normalization form C first. */
  readonly normalize?: boolean;
  /** A text (or what follows an added token) that begins with no space gets one. */
  readonly prefixSpace?: boolean;
}

/** Names of the token that stands between documents, the first that a vocabulary has. */
const END_OF_TEXT = ["<|endoftext|>", "<|end_of_text|>", "</s>"];

const escaped = (text: string) => text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");

/** The longest of several that begin at one place is taken. */
function anyOf(tokens: readonly AddedToken[]): RegExp | null {
  if (tokens.length === 0) return null;
  const contents = tokens.map(({ content }) => content).sort((a, b) => b.length - a.length);
  return new RegExp(contents.map(escaped).join("|"), "g");
}

/**
 * Byte-level byte-pair encoding (Radford et al., 2019, "Language Models are Unsupervised Multitask Learners", section
 * 2.2): a text is split into words, and the bytes of each merged into tokens. Every text has tokens.
 */
export abstract class BytePairTokenizer implements Tokenizer {
  abstract readonly type: string;
  readonly vocabSize: number;
  /** Tokens that text becomes only where it is allowed to, with their ids. */
  readonly specialTokens: ReadonlyMap<string, number>;
  /** The token between documents (`<|endoftext|>`, else `<|end_of_text|>`, else `</s>`), or null where there is none. */
  readonly endOfText: number | null;

  readonly #encoding: NativeEncoding;
  readonly #added: readonly AddedToken[];
  readonly #ids: ReadonlyMap<string, number>;
  readonly #always: RegExp | null;
  readonly #normalize: boolean;
  readonly #prefixSpace: boolean;

  protected constructor({ encoding, vocabSize, added, normalize, prefixSpace }: BytePairParts) {
    this.vocabSize = vocabSize;
    this.#encoding = encoding;
    this.#added = added;
    this.#ids = new Map(added.map(({ content, id }) => [content, id]));
    this.specialTokens = new Map(
      added.filter(({ special }) => special).map(({ content, id }) => [content, id]),
    );
    this.#always = anyOf(added.filter(({ special }) => !special));
    this.#normalize = normalize ?? false;
    this.#prefixSpace = prefixSpace ?? false;
    const name = END_OF_TEXT.find((name) => this.specialTokens.has(name));
    this.endOfText = name === undefined ? null : this.specialTokens.get(name)!;
  }

  /**
   * @param text - as UTF-8 where it is bytes. Lone surrogates become U+FFFD, and so does each longest beginning of a
   * character in bytes that does not go on as one: what Python's `bytes.decode("utf-8", "replace")` gives.
   * @throws WaveGPTError ERR_WAVEGPT_TOKENIZER for an `allowedSpecial` that the vocabulary lacks
   */
  encode(text: string | Uint8Array, { allowedSpecial = [] }: EncodeOptions = {}): Uint32Array {
    const wanted = this.#lookedFor(allowedSpecial);
    if (wanted === null && !this.#prepares) return this.#encoding.encode(text);
    const pieces = [...this.#pieces(asString(text), wanted)];
    return joined(
      pieces.map((piece) => (typeof piece === "number" ? piece : this.#encoding.encode(piece))),
    );
  }

  /**
   * As {@link encode} of each text, the work shared by several threads; the caller's waits for it.
   *
   * @param options.threads - default: as many as the machine runs at once
   */
  encodeBatch(
    texts: readonly (string | Uint8Array)[],
    options: EncodeOptions & { readonly threads?: number } = {},
  ): Uint32Array[] {
    const { threads = availableParallelism(), allowedSpecial = [] } = options;
    const wanted = this.#lookedFor(allowedSpecial);
    if (wanted === null && !this.#prepares) return this.#encoding.encodeBatch(texts, threads);
    // The text between added tokens is what takes time: all of it is shared out at once.
    const pieces = texts.map((text) => [...this.#pieces(asString(text), wanted)]);
    const between = pieces.flatMap((own) => own.filter((piece) => typeof piece === "string"));
    const encoded = this.#encoding.encodeBatch(between, threads).values();
    return pieces.map((own) =>
      joined(own.map((piece) => (typeof piece === "number" ? piece : encoded.next().value!))),
    );
  }

  /**
   * The text that tokens stand for; U+FFFD for bytes that are no UTF-8, as where the tokens end within a character.
   *
   * @throws WaveGPTError ERR_WAVEGPT_TOKENIZER for an id outside the vocabulary
   */
  decode(ids: ArrayLike<number>): string {
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(this.decodeBytes(ids));
  }

  /** @throws WaveGPTError ERR_WAVEGPT_TOKENIZER for an id outside the vocabulary */
  decodeBytes(ids: ArrayLike<number>): Uint8Array {
    return this.#encoding.decode(this.#checked(ids));
  }

  decoder(): StreamDecoder {
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    return {
      write: (id) => decoder.decode(this.decodeBytes([id]), { stream: true }),
      end: () => decoder.decode(),
    };
  }

  abstract describe(): TokenizerIdentity;

  abstract toJSON(): unknown;

  save(path: string): void {
    writeFileSync(path, `${JSON.stringify(this)}\n`);
  }

  get #prepares(): boolean {
    return this.#normalize || this.#prefixSpace;
  }

  /** What is to be found in the text before it is split into words, or null. */
  #lookedFor(allowed: "all" | readonly string[]): RegExp | null {
    if (allowed !== "all" && allowed.length === 0) return this.#always;
    if (allowed === "all") return anyOf(this.#added);
    for (const name of allowed) {
      if (this.specialTokens.has(name)) continue;
      const known = [...this.specialTokens.keys()].map((known) => JSON.stringify(known));
      throw new WaveGPTError(
        "ERR_WAVEGPT_TOKENIZER",
        `allowedSpecial: expected special tokens of this vocabulary (${known.join(", ") || "it has none"}), got ${JSON.stringify(name)}`,
      );
    }
    return anyOf(this.#added.filter((t) => !t.special || allowed.includes(t.content)));
  }

  /** Added tokens as their ids, and the text between them. */
  *#pieces(text: string, wanted: RegExp | null): Generator<string | number> {
    let at = 0;
    for (const match of wanted === null ? [] : text.matchAll(wanted)) {
      if (match.index > at) yield this.#prepared(text.slice(at, match.index));
      yield this.#ids.get(match[0])!;
      at = match.index + match[0].length;
    }
    if (at < text.length) yield this.#prepared(text.slice(at));
  }

  #prepared(text: string): string {
    const normal = this.#normalize ? text.normalize("NFC") : text;
    return this.#prefixSpace && !normal.startsWith(" ") ? ` ${normal}` : normal;
  }

  /** Ids as the native side takes them: those beyond the vocabulary are refused there. */
  #checked(ids: ArrayLike<number>): Uint32Array {
    if (ids instanceof Uint32Array) return ids;
    if (!(ids instanceof Uint16Array)) {
      for (let i = 0; i < ids.length; i++) {
        if (ids[i]! >>> 0 === ids[i]) continue;
        throw new WaveGPTError(
          "ERR_WAVEGPT_TOKENIZER",
          `token ${ids[i]} at position ${i} is outside the vocabulary of ${this.vocabSize} tokens (0 to ${this.vocabSize - 1})`,
        );
      }
    }
    return Uint32Array.from(ids);
  }
}

/** Ids, and the tokens between them, as one array. */
function joined(pieces: readonly (number | Uint32Array)[]): Uint32Array {
  const length = (piece: number | Uint32Array) => (typeof piece === "number" ? 1 : piece.length);
  const tokens = new Uint32Array(pieces.reduce<number>((sum, piece) => sum + length(piece), 0));
  let at = 0;
  for (const piece of pieces) {
    if (typeof piece === "number") tokens[at] = piece;
    else tokens.set(piece, at);
    at += length(piece);
  }
  return tokens;
}

function asString(text: string | Uint8Array): string {
  if (typeof text === "string") return text;
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(text);
}
