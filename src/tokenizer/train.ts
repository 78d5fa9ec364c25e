import { WaveGPTError } from "../../lib/errors.js";
import { ALPHABET_BYTES, writeBytes } from "./byte-alphabet.js";
import { writeHuggingFace } from "./hugging-face.js";
import { tokenizerLibrary } from "./native.js";

export interface TrainTokenizerOptions {
  /** Tokens in all, with the 256 bytes and the special ones. Fewer where the texts have no more pairs to merge. */
  readonly vocabSize: number;
  /** Pairs that occur less often are not merged. Default 2. */
  readonly minFrequency?: number;
  /** Tokens that no text becomes unless it is allowed to; they get the first ids. Default `<|endoftext|>`. */
  readonly special?: readonly string[];
}

function checkOptions({ vocabSize, minFrequency, special }: Required<TrainTokenizerOptions>): void {
  const fail = (what: string): never => {
    throw new WaveGPTError("ERR_WAVEGPT_TOKENIZER", what);
  };
  const least = 256 + special.length;
  if (!Number.isInteger(vocabSize) || vocabSize < least || vocabSize > 2 ** 24) {
    fail(
      `vocabSize: expected a whole number from ${least} (256 bytes and ${special.length} special tokens) to ${2 ** 24}, got ${vocabSize}`,
    );
  }
  if (!Number.isInteger(minFrequency) || minFrequency < 1 || minFrequency >= 2 ** 32) {
    fail(`minFrequency: expected a whole number of at least 1, got ${minFrequency}`);
  }
  if (special.includes("") || new Set(special).size < special.length) {
    fail(`special: expected names that differ and are not empty, got ${JSON.stringify(special)}`);
  }
}

/** Learns a byte-level BPE from texts, one at a time: memory grows with their distinct words only. */
export class TokenizerTraining {
  readonly #training = new (tokenizerLibrary().Training)("gpt2");
  #bytes = 0;

  /** Counts the words of a text. A word never goes on in the next text. */
  add(text: string | Uint8Array): void {
    this.#training.add(text);
    this.#bytes += typeof text === "string" ? Buffer.byteLength(text) : text.length;
  }

  /** UTF-8 bytes of all texts. */
  get bytes(): number {
    return this.#bytes;
  }

  get distinctWords(): number {
    return this.#training.words();
  }

  /**
   * Merges, again and again, the pair of neighbouring tokens that occurs most often within words; of several, that with
   * the lowest ids: the merges that Hugging Face's BpeTrainer finds with ByteLevel's alphabet.
   *
   * @returns a `tokenizer.json` of Hugging Face's format
   * @throws WaveGPTError ERR_WAVEGPT_TOKENIZER naming the option that is wrong
   */
  learn(options: TrainTokenizerOptions): unknown {
    const { vocabSize, minFrequency = 2, special = ["<|endoftext|>"] } = options;
    checkOptions({ vocabSize, minFrequency, special });
    const names = [...special];
    const byteTokens = new Uint32Array(256);
    for (const byte of ALPHABET_BYTES) {
      byteTokens[byte] = names.length;
      names.push(writeBytes(Uint8Array.of(byte)));
    }
    const learnt = this.#training.learn(vocabSize, minFrequency, names.length, byteTokens);
    const merges: [string, string][] = [];
    for (let i = 0; i < learnt.length; i += 3) {
      const [left, right] = [names[learnt[i]!]!, names[learnt[i + 1]!]!];
      merges.push([left, right]);
      names[learnt[i + 2]!] = left + right;
    }
    const taken = names.slice(special.length).find((name) => special.includes(name));
    if (taken !== undefined) {
      throw new WaveGPTError(
        "ERR_WAVEGPT_TOKENIZER",
        `special: expected names that the texts do not have as words, got ${JSON.stringify(taken)}`,
      );
    }
    return writeHuggingFace({
      special: special.map((content, id) => ({ id, content, special: true })),
      vocab: Object.fromEntries(names.map((name, id) => [name, id])),
      merges,
    });
  }
}
