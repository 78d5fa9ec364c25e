import type { TokenDtype } from "../data/token-file.js";
import { BytePairTokenizer, namedTokenizer, type TokenArray } from "../tokenizer/index.js";

/** A tokenizer as preparing documents needs it; loads no libtorch. */
export interface DocumentTokenizer {
  /** In the narrowest type that holds the vocabulary. */
  readonly dtype: TokenDtype;
  /** The token that a document begins with, or null where the vocabulary has none. */
  readonly endOfText: number | null;
  encode(utf8: Uint8Array): TokenArray;
  describe(): { readonly kind: string; readonly vocabSize: number; readonly sha256: string };
  /** What `tokenizer.json` of the folder holds. */
  toJSON(): unknown;
}

/** The tokenizer that `--tokenizer` names. */
export function documentTokenizer(name: string): DocumentTokenizer {
  const tokenizer = namedTokenizer(name);
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  return {
    dtype: tokenizer.vocabSize <= 0x10000 ? "uint16" : "uint32",
    endOfText: tokenizer.endOfText ?? null,
    encode: (utf8) =>
      tokenizer instanceof BytePairTokenizer
        ? tokenizer.encode(utf8)
        : tokenizer.encode(decoder.decode(utf8)),
    describe: () => tokenizer.describe(),
    toJSON: () => tokenizer.toJSON(),
  };
}
