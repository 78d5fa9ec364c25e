import { readFileSync } from "node:fs";
import path from "node:path";
import { WaveGPTError } from "../../lib/errors.js";
import { packageRoot } from "../../lib/package-root.js";
import { BytePairTokenizer } from "./byte-pair.js";
import { type NativeEncoding, tokenizerLibrary } from "./native.js";
import type { TokenizerIdentity } from "./tokenizer.js";

const END_OF_TEXT = 50256;
const NAME = "<|endoftext|>";
/** Of OpenAI's r50k_base.tiktoken: what `scripts/gpt2-ranks.mjs` compares the vocabulary with. */
const SHA256 = "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930";

/** What {@link GPT2Tokenizer.toJSON} gives: the vocabulary itself comes with the package. */
export interface GPT2TokenizerJSON {
  readonly type: "gpt2";
  readonly version: 1;
  readonly vocabSize: number;
  readonly sha256: string;
}

function readRanks(): Uint8Array {
  const file = path.join(packageRoot(), "dist", "tokenizer", "gpt2.ranks");
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new WaveGPTError(
      "ERR_WAVEGPT_TOKENIZER",
      `GPT-2's vocabulary comes with the package, but ${file} cannot be read: ${(cause as Error).message}. In a clone, npm run build:ts writes it.`,
      { cause },
    );
  }
}

function buildEncoding(): NativeEncoding {
  // Each token's length in one byte, and its bytes.
  const ranks = readRanks();
  const name = new TextEncoder().encode(NAME);
  const bytes = new Uint8Array(ranks.length - END_OF_TEXT + name.length);
  const ends = new Uint32Array(END_OF_TEXT + 1);
  let end = 0;
  for (let id = 0, at = 0; id < END_OF_TEXT; id++) {
    const next = at + 1 + ranks[at]!;
    bytes.set(ranks.subarray(at + 1, next), end);
    end += next - at - 1;
    ends[id] = end;
    at = next;
  }
  bytes.set(name, end);
  ends[END_OF_TEXT] = end + name.length;
  const { Encoding } = tokenizerLibrary();
  return new Encoding({
    pattern: "gpt2",
    bytes,
    ends,
    special: Uint32Array.of(END_OF_TEXT),
    merges: null,
    ignoreMerges: true,
  });
}

let encoding: NativeEncoding | null = null;

/**
 * GPT-2's byte-pair encoding (tiktoken's `gpt2` and `r50k_base`): 50,257 tokens, the last of which, `<|endoftext|>`,
 * text becomes only where it is allowed to.
 *
 *     new GPT2Tokenizer().encode("hello world"); // Uint32Array [31373, 995]
 *
 * Needs no libtorch. One thread's tokenizers share their tables.
 */
export class GPT2Tokenizer extends BytePairTokenizer {
  readonly type = "gpt2";
  /** `<|endoftext|>`, which stands between documents. */
  declare readonly endOfText: number;

  constructor() {
    encoding ??= buildEncoding();
    const added = [{ id: END_OF_TEXT, content: NAME, special: true }];
    super({ encoding, vocabSize: END_OF_TEXT + 1, added });
  }

  /** @throws WaveGPTError ERR_WAVEGPT_TOKENIZER for JSON of another kind, version or vocabulary */
  static fromJSON(json: unknown): GPT2Tokenizer {
    const { type, version, sha256 } = (json ?? {}) as Record<string, unknown>;
    const tokenizer = new GPT2Tokenizer();
    const expected = tokenizer.toJSON();
    if (type !== expected.type || version !== expected.version || sha256 !== expected.sha256) {
      throw new WaveGPTError(
        "ERR_WAVEGPT_TOKENIZER",
        `not GPT-2's tokenizer: expected ${JSON.stringify(expected)}, got ${JSON.stringify(json)?.slice(0, 200)}`,
      );
    }
    return tokenizer;
  }

  describe(): TokenizerIdentity {
    return { kind: this.type, vocabSize: this.vocabSize, sha256: SHA256 };
  }

  toJSON(): GPT2TokenizerJSON {
    return { type: this.type, version: 1, vocabSize: this.vocabSize, sha256: SHA256 };
  }
}
