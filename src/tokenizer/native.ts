import { addonLibrary, addonLoader, explainLoadError } from "../../lib/addon.js";

/** The regular expressions that text is split into words by; see `binding/tokenizer/split.h`. */
export type SplitPattern = "gpt2" | "cl100k" | "qwen2";

/** What a byte-pair encoding is made of. */
export interface EncodingDefinition {
  readonly pattern: SplitPattern;
  /** The bytes of all tokens, in the order of their ids; ids that are no token have none. */
  readonly bytes: Uint8Array;
  /** Where each token's bytes end. */
  readonly ends: Uint32Array;
  /** Ids that text never becomes. */
  readonly special: Uint32Array;
  /**
   * Left, right and merged id of each merge, best first. Null: any two tokens merge whose bytes together are a token,
   * that with the lowest id first.
   */
  readonly merges: Uint32Array | null;
  /** Whether a word that is a token becomes it even where merges would not lead there. */
  readonly ignoreMerges: boolean;
}

/** Text to tokens and back, in the thread that made it. */
export interface NativeEncoding {
  /** Lone surrogates and invalid UTF-8 become U+FFFD. */
  encode(text: string | Uint8Array): Uint32Array;
  /** Each text's tokens; the work is shared by `threads` threads. */
  encodeBatch(texts: readonly (string | Uint8Array)[], threads: number): Uint32Array[];
  /** @throws WaveGPTError ERR_WAVEGPT_TOKENIZER for an id that is no token */
  decode(ids: Uint32Array): Uint8Array;
}

/** Counts words and learns merges of them. */
export interface NativeTraining {
  add(text: string | Uint8Array): void;
  /** How many distinct words were counted. */
  words(): number;
  /**
   * @param vocabularySize - tokens at most, with those below `firstMerge`
   * @param leastCount - pairs that occur less often are not merged
   * @param firstMerge - the id of the first token that is learnt
   * @param byteTokens - the ids of the 256 bytes
   * @returns left, right and merged id of each merge, best first
   */
  learn(
    vocabularySize: number,
    leastCount: number,
    firstMerge: number,
    byteTokens: Uint32Array,
  ): Uint32Array;
}

interface TokenizerLibrary {
  readonly Encoding: new (definition: EncodingDefinition) => NativeEncoding;
  readonly Training: new (pattern: SplitPattern) => NativeTraining;
}

let library: TokenizerLibrary | null = null;

/** `wavegpt_tokenizer`, which lies beside the loader of the binding and needs no libtorch; opened at the first call. */
export function tokenizerLibrary(): TokenizerLibrary {
  if (library === null) {
    const file = addonLibrary(addonLoader(), "wavegpt_tokenizer");
    const module = { exports: {} };
    try {
      process.dlopen(module, file);
    } catch (error) {
      throw explainLoadError(error, file);
    }
    library = module.exports as TokenizerLibrary;
  }
  return library;
}
