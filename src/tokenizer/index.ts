export { CharTokenizer, type CharTokenizerJSON, type CharTokenizerOptions } from "./char.js";
export { loadTokenizer, tokenizerFromJSON } from "./load.js";
export type { TokenArray, Tokenizer } from "./tokenizer.js";
