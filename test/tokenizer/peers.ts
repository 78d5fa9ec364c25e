import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { packageRoot } from "../../lib/package-root.js";
import { pythonFile } from "../python.js";

const SCRIPT = path.join(packageRoot(), "test", "tokenizer", "gpt2_tokens.py");
const RANKS = path.join(packageRoot(), "node_modules", "tiktoken", "encoders", "gpt2.json");

/** What `body` returns, with a folder for files that is removed afterwards. */
export function inFolder<T>(body: (folder: string) => T): T {
  const folder = mkdtempSync(path.join(tmpdir(), "wavegpt-tokenizer-"));
  try {
    return body(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The ids in a file of little-endian uint32. */
export function readIds(file: string): Uint32Array {
  const bytes = readFileSync(file);
  return new Uint32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
}

/** GPT-2's tokens by Python's tiktoken: `encode_ordinary` of the text, or of the bytes decoded with errors="replace". */
export function tiktoken(text: string | Uint8Array): Uint32Array {
  return inFolder((folder) => {
    const [input, output] = [path.join(folder, "text"), path.join(folder, "tokens")];
    const isString = typeof text === "string";
    writeFileSync(input, isString ? Buffer.from(text, "utf16le") : text);
    pythonFile(SCRIPT, RANKS, "tokens", input, isString ? "utf-16-le" : "utf-8", output);
    return readIds(output);
  });
}

/** For each code point 1 where it is `\p{L}` to tiktoken's regular expressions, 2 for `\p{N}`, 3 for `\s`, else 0. */
export function tiktokenClasses(): Uint8Array {
  return inFolder((folder) => {
    const output = path.join(folder, "classes");
    pythonFile(SCRIPT, RANKS, "classes", output);
    return new Uint8Array(readFileSync(output));
  });
}

/** Where two lists of tokens differ first, with what is around it; null where they are equal. */
export function difference(got: Uint32Array, expected: Uint32Array): string | null {
  const length = Math.max(got.length, expected.length);
  for (let i = 0; i < length; i++) {
    if (got[i] === expected[i]) continue;
    const around = (ids: Uint32Array) => ids.subarray(Math.max(0, i - 3), i + 5).join(" ");
    return `token ${i}: got ${around(got)}, expected ${around(expected)}`;
  }
  return null;
}
