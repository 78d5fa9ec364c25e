import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { UsageError } from "../config/usage-error.js";

/** A text to train on and where it came from. */
export interface SourceText {
  readonly path: string;
  readonly text: string;
  /** Of the text as UTF-8, so that a resumed run can tell it is the same. */
  readonly sha256: string;
  readonly bytes: number;
}

function readUtf8(path: string): string {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new UsageError(
      `--data: cannot read ${path}: ${code === "ENOENT" ? "there is no such file or folder" : (error as Error).message}.`,
    );
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new UsageError(`--data: ${path} is not UTF-8 text.`);
  }
}

/**
 * Reads a text file, or every `.txt` file of a folder in the order of their names.
 * @throws UsageError where there is nothing to read or it is not UTF-8.
 */
export function readText(path: string): SourceText {
  let files = [path];
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) {
    files = readdirSync(path)
      .filter((name) => name.toLowerCase().endsWith(".txt"))
      .sort()
      .map((name) => join(path, name));
    if (files.length === 0) {
      throw new UsageError(`--data: expected .txt files in the folder ${path}, found none.`);
    }
  }
  const text = files.map(readUtf8).join("\n");
  if (text.length === 0) throw new UsageError(`--data: ${path} is empty.`);
  const bytes = Buffer.from(text, "utf8");
  return {
    path,
    text,
    sha256: createHash("sha256").update(bytes).digest("hex"),
    bytes: bytes.length,
  };
}
