import type { SplitPattern } from "./native.js";

/** GPT-2's, which the ByteLevel pre-tokenizer splits by. */
export const GPT2_PATTERN = String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`;

const after = (digits: string) =>
  String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|${digits}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`;

/** The regular expressions that `binding/tokenizer/split.cc` scans for, as tokenizers write them. */
export const SPLIT_PATTERNS: ReadonlyMap<string, SplitPattern> = new Map([
  [GPT2_PATTERN, "gpt2"],
  [after(String.raw`\p{N}{1,3}`), "cl100k"],
  [after(String.raw`\p{N}`), "qwen2"],
]);
