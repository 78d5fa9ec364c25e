import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { WaveGPTError } from "../../lib/errors.js";
import type { StreamDecoder, TokenArray, Tokenizer, TokenizerIdentity } from "./tokenizer.js";

export interface CharTokenizerOptions {
  /**
   * One character that stands for every character outside the vocabulary; it is added to the
   * vocabulary if the text lacks it. Default: such a character is an error.
   */
  readonly unknown?: string | null;
}

/** What {@link CharTokenizer.toJSON} gives. */
export interface CharTokenizerJSON {
  readonly type: "char";
  readonly version: 1;
  /** The characters in the order of their ids. */
  readonly vocabulary: readonly string[];
  readonly unknown: string | null;
}

/** Code points below this are looked up in a table, the few above in a map. */
const TABLE_SIZE = 0x10000;
const ABSENT = -1;

/**
 * One token per character (Unicode code point; a surrogate pair is one, a lone surrogate its own).
 * Ids follow the order of the code points, so the same set of characters always gets the same ids.
 */
export class CharTokenizer implements Tokenizer {
  readonly type = "char";
  /** The characters in the order of their ids. */
  readonly characters: readonly string[];
  /** The replacement for characters outside the vocabulary, or null where they are an error. */
  readonly unknown: string | null;

  readonly #table = new Int32Array(TABLE_SIZE).fill(ABSENT);
  readonly #astral = new Map<number, number>();
  readonly #codePoints: Uint32Array;
  readonly #unknownId: number;

  /** @param characters - distinct, one code point each, in increasing order */
  private constructor(characters: readonly string[], unknown: string | null) {
    this.characters = characters;
    this.unknown = unknown;
    this.#codePoints = Uint32Array.from(characters, (character) => character.codePointAt(0)!);
    this.#codePoints.forEach((codePoint, id) => {
      if (codePoint < TABLE_SIZE) this.#table[codePoint] = id;
      else this.#astral.set(codePoint, id);
    });
    this.#unknownId = unknown === null ? ABSENT : this.#lookUp(unknown.codePointAt(0)!);
  }

  /**
   * The vocabulary of a text.
   *
   * @throws WaveGPTError ERR_WAVEGPT_TOKENIZER for a text without characters or a replacement that is not one character
   */
  static fromText(text: string, options: CharTokenizerOptions = {}): CharTokenizer {
    const unknown = options.unknown ?? null;
    if (unknown !== null && !isOneCharacter(unknown)) {
      throw new WaveGPTError(
        "ERR_WAVEGPT_TOKENIZER",
        `the replacement for unknown characters must be exactly one character, got ${JSON.stringify(unknown)}`,
      );
    }
    const codePoints = distinctCodePoints(text);
    if (unknown !== null) codePoints.add(unknown.codePointAt(0)!);
    if (codePoints.size === 0) {
      throw new WaveGPTError(
        "ERR_WAVEGPT_TOKENIZER",
        "a character vocabulary needs a text with at least one character, got an empty text",
      );
    }
    const sorted = Uint32Array.from(codePoints).sort();
    return new CharTokenizer(
      Array.from(sorted, (codePoint) => String.fromCodePoint(codePoint)),
      unknown,
    );
  }

  /** @throws WaveGPTError ERR_WAVEGPT_TOKENIZER naming what is wrong with the JSON */
  static fromJSON(json: unknown): CharTokenizer {
    const fail = (what: string): never => {
      throw new WaveGPTError("ERR_WAVEGPT_TOKENIZER", `not a character tokenizer: ${what}`);
    };
    if (typeof json !== "object" || json === null) return fail("expected a JSON object");
    const { type, version, vocabulary, unknown } = json as Record<string, unknown>;
    if (type !== "char") return fail(`expected "type" "char", got ${JSON.stringify(type)}`);
    if (version !== 1) return fail(`expected "version" 1, got ${JSON.stringify(version)}`);
    if (!Array.isArray(vocabulary) || vocabulary.length === 0) {
      return fail('expected "vocabulary" to be a list of at least one character');
    }
    let last = -1;
    vocabulary.forEach((entry: unknown, id) => {
      if (typeof entry !== "string" || !isOneCharacter(entry)) {
        fail(`entry ${id} of "vocabulary" must be one character, got ${JSON.stringify(entry)}`);
      }
      const codePoint = (entry as string).codePointAt(0)!;
      if (codePoint <= last) {
        fail(
          `"vocabulary" must be in increasing order of code points without repeats, but entry ${id} is ${describe(codePoint)} after ${describe(last)}`,
        );
      }
      last = codePoint;
    });
    if (unknown !== null && unknown !== undefined) {
      if (typeof unknown !== "string" || !vocabulary.includes(unknown)) {
        return fail(`"unknown" must be null or in "vocabulary", got ${JSON.stringify(unknown)}`);
      }
    }
    return new CharTokenizer([...(vocabulary as string[])], (unknown as string | null) ?? null);
  }

  get vocabSize(): number {
    return this.characters.length;
  }

  /**
   * @returns one id per code point: Uint16Array up to 65,536 characters, else Uint32Array
   * @throws WaveGPTError ERR_WAVEGPT_UNKNOWN_CHARACTER with the character, its code point and where it stands,
   * unless a replacement was chosen
   */
  encode(text: string): TokenArray {
    const units = text.length;
    const ids = this.vocabSize <= 0x10000 ? new Uint16Array(units) : new Uint32Array(units);
    const table = this.#table;
    let count = 0;
    for (let at = 0; at < units; at++) {
      let codePoint = text.charCodeAt(at);
      let id: number;
      if ((codePoint & 0xfc00) === 0xd800) {
        codePoint = text.codePointAt(at)!;
        id = this.#lookUp(codePoint);
        if (codePoint >= TABLE_SIZE) at++;
      } else {
        id = table[codePoint]!;
      }
      if (id === ABSENT) {
        if (this.#unknownId === ABSENT) throw this.#unknownCharacter(text, codePoint, count);
        id = this.#unknownId;
      }
      ids[count++] = id;
    }
    return count === units ? ids : ids.slice(0, count);
  }

  /** @throws WaveGPTError ERR_WAVEGPT_TOKENIZER for an id outside the vocabulary */
  decode(ids: ArrayLike<number>): string {
    const codePoints = this.#codePoints;
    const units = new Uint16Array(2 * ids.length);
    let count = 0;
    for (let i = 0; i < ids.length; i++) {
      const codePoint = codePoints[ids[i]!];
      if (codePoint === undefined) {
        throw new WaveGPTError(
          "ERR_WAVEGPT_TOKENIZER",
          `token ${ids[i]} at position ${i} is outside the vocabulary of ${this.vocabSize} characters (0 to ${this.vocabSize - 1})`,
        );
      }
      if (codePoint < TABLE_SIZE) {
        units[count++] = codePoint;
      } else {
        units[count++] = 0xd7c0 + (codePoint >> 10);
        units[count++] = 0xdc00 + (codePoint & 0x3ff);
      }
    }
    return fromUnits(units.subarray(0, count));
  }

  /** Every token is a whole character: nothing waits. */
  decoder(): StreamDecoder {
    return { write: (id) => this.decode([id]), end: () => "" };
  }

  describe(): TokenizerIdentity {
    const sha256 = createHash("sha256").update(JSON.stringify(this)).digest("hex");
    return { kind: this.type, vocabSize: this.vocabSize, sha256 };
  }

  toJSON(): CharTokenizerJSON {
    return { type: "char", version: 1, vocabulary: this.characters, unknown: this.unknown };
  }

  save(path: string): void {
    writeFileSync(path, `${JSON.stringify(this)}\n`);
  }

  #lookUp(codePoint: number): number {
    if (codePoint < TABLE_SIZE) return this.#table[codePoint]!;
    return this.#astral.get(codePoint) ?? ABSENT;
  }

  #unknownCharacter(text: string, codePoint: number, position: number): WaveGPTError {
    const before = firstCharacters(text, position);
    const line = before.split("\n").length;
    const column = [...before.slice(before.lastIndexOf("\n") + 1)].length + 1;
    return new WaveGPTError(
      "ERR_WAVEGPT_UNKNOWN_CHARACTER",
      `character ${describe(codePoint)} at position ${position} (line ${line}, column ${column}) is not among the ${this.vocabSize} characters of this vocabulary; remove it from the text, or choose a replacement for unknown characters when the vocabulary is made`,
    );
  }
}

function isOneCharacter(text: string): boolean {
  const codePoint = text.codePointAt(0);
  return codePoint !== undefined && text.length === (codePoint < TABLE_SIZE ? 1 : 2);
}

function distinctCodePoints(text: string): Set<number> {
  const seen = new Uint8Array(TABLE_SIZE);
  const found = new Set<number>();
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if ((unit & 0xfc00) === 0xd800) {
      const codePoint = text.codePointAt(at)!;
      found.add(codePoint);
      if (codePoint >= TABLE_SIZE) at++;
    } else if (seen[unit] === 0) {
      seen[unit] = 1;
      found.add(unit);
    }
  }
  return found;
}

/** E.g. `"é" (U+00E9)`; control characters and lone surrogates in JSON's escapes. */
function describe(codePoint: number): string {
  const hex = codePoint.toString(16).toUpperCase().padStart(4, "0");
  return `${JSON.stringify(String.fromCodePoint(codePoint))} (U+${hex})`;
}

function firstCharacters(text: string, count: number): string {
  let end = 0;
  for (let i = 0; i < count; i++) end += text.codePointAt(end)! < TABLE_SIZE ? 1 : 2;
  return text.slice(0, end);
}

function fromUnits(units: Uint16Array): string {
  // A call takes only so many arguments.
  const piece = 8192;
  let text = "";
  for (let at = 0; at < units.length; at += piece) {
    text += String.fromCharCode.apply(null, units.subarray(at, at + piece) as unknown as number[]);
  }
  return text;
}
