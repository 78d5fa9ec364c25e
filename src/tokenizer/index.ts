export { CharTokenizer, type CharTokenizerJSON, type CharTokenizerOptions } from "./char.js";
export { loadTokenizer, tokenizerFromJSON } from "./load.js";
export type { StreamDecoder, TokenArray, Tokenizer, TokenizerIdentity } from "./tokenizer.js";
