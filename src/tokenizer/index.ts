export { BPETokenizer } from "./bpe.js";
export { type AddedToken, BytePairTokenizer, type EncodeOptions } from "./byte-pair.js";
export { CharTokenizer, type CharTokenizerJSON, type CharTokenizerOptions } from "./char.js";
export { GPT2Tokenizer, type GPT2TokenizerJSON } from "./gpt2.js";
export { TokenIds } from "./ids.js";
export { loadTokenizer, namedTokenizer, tokenizerFromJSON } from "./load.js";
export type { StreamDecoder, TokenArray, Tokenizer, TokenizerIdentity } from "./tokenizer.js";
export { TokenizerTraining, type TrainTokenizerOptions } from "./train.js";
