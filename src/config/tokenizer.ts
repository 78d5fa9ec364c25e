import { statSync } from "node:fs";
import { resolve } from "node:path";
import { UsageError } from "./usage-error.js";

/** What the setting `tokenizer` names beside files. */
const NAMES = ["char", "gpt2"];

/** A tokenizer's name as it is; a file's path so that it is found from any working folder. */
export function tokenizerPath(tokenizer: string): string {
  return NAMES.includes(tokenizer) ? tokenizer : resolve(tokenizer);
}

/** @throws UsageError where the setting is neither a name nor a file that is there */
export function checkTokenizerFile(tokenizer: string): void {
  if (NAMES.includes(tokenizer)) return;
  if (statSync(tokenizer, { throwIfNoEntry: false })?.isFile()) return;
  throw new UsageError(
    `--tokenizer: expected ${NAMES.join(", ")} or the path of a tokenizer.json, got ${JSON.stringify(tokenizer)}, which is no file.`,
  );
}
