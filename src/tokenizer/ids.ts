import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { WaveGPTError } from "../../lib/errors.js";
import type { StreamDecoder, TokenArray, Tokenizer, TokenizerIdentity } from "./tokenizer.js";

/**
 * Tokens whose text is not known, as their numbers with spaces between: for files of tokens that came without their
 * tokenizer.
 */
export class TokenIds implements Tokenizer {
  readonly type = "ids";

  /** @throws WaveGPTError ERR_WAVEGPT_TOKENIZER for a size that is no whole number from 1 to 2**32 */
  constructor(readonly vocabSize: number) {
    if (!Number.isSafeInteger(vocabSize) || vocabSize < 1 || vocabSize > 2 ** 32) {
      throw new WaveGPTError(
        "ERR_WAVEGPT_TOKENIZER",
        `the size of a vocabulary must be a whole number from 1 to 2**32, got ${vocabSize}`,
      );
    }
  }

  /** @throws WaveGPTError ERR_WAVEGPT_TOKENIZER naming what {@link toJSON} did not write */
  static fromJSON(json: unknown): TokenIds {
    const { version, vocabSize } = json as Record<string, unknown>;
    if (version !== 1 || typeof vocabSize !== "number") {
      throw new WaveGPTError(
        "ERR_WAVEGPT_TOKENIZER",
        `not a vocabulary of ids: expected "version" 1 and a number as "vocabSize", got ${JSON.stringify(version)} and ${JSON.stringify(vocabSize)}`,
      );
    }
    return new TokenIds(vocabSize);
  }

  /** @throws WaveGPTError ERR_WAVEGPT_TOKENIZER for what is no number of the vocabulary */
  encode(text: string): TokenArray {
    const words = text.split(/\s+/).filter(Boolean);
    return Uint32Array.from(words, (word) => {
      const id = /^\d+$/.test(word) ? Number(word) : Number.NaN;
      if (id < this.vocabSize) return id;
      throw new WaveGPTError(
        "ERR_WAVEGPT_TOKENIZER",
        `expected numbers from 0 to ${this.vocabSize - 1} with spaces between, got ${JSON.stringify(word)}: this model was trained on tokens whose text is not known`,
      );
    });
  }

  decode(ids: ArrayLike<number>): string {
    return Array.from(ids, (id) => `${id} `).join("");
  }

  decoder(): StreamDecoder {
    return { write: (id) => `${id} `, end: () => "" };
  }

  describe(): TokenizerIdentity {
    const sha256 = createHash("sha256").update(JSON.stringify(this)).digest("hex");
    return { kind: this.type, vocabSize: this.vocabSize, sha256 };
  }

  toJSON(): unknown {
    return { type: "ids", version: 1, vocabSize: this.vocabSize };
  }

  save(path: string): void {
    writeFileSync(path, `${JSON.stringify(this)}\n`);
  }
}
