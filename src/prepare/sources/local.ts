import { createReadStream } from "node:fs";
import { open, readdir, stat } from "node:fs/promises";
import path from "node:path";
import { WaveGPTError } from "../../../lib/errors.js";
import { UsageError } from "../../config/usage-error.js";
import type { DataFile } from "../source.js";
import { matcher } from "./glob.js";
import { FORMATS } from "./read.js";

/** A file on this machine. */
export function localFile(file: string, size: number, modified: number): DataFile {
  const failed = (error: unknown): WaveGPTError =>
    new WaveGPTError("ERR_WAVEGPT_DATA", `${file}: cannot be read: ${(error as Error).message}`, {
      cause: error,
    });
  return {
    name: file,
    size,
    sha256: null,
    describe: () => ({ path: file, bytes: size }),
    version: String(modified),
    async *stream(from) {
      try {
        yield* createReadStream(file, { start: from, highWaterMark: 1 << 18 });
      } catch (error) {
        throw failed(error);
      }
    },
    async range(from, to) {
      try {
        const handle = await open(file, "r");
        try {
          const bytes = new Uint8Array(to - from);
          let done = 0;
          while (done < bytes.length) {
            const { bytesRead } = await handle.read(bytes, done, bytes.length - done, from + done);
            if (bytesRead === 0) throw new Error(`it ends before byte ${to}`);
            done += bytesRead;
          }
          return bytes;
        } finally {
          await handle.close();
        }
      } catch (error) {
        throw failed(error);
      }
    },
  };
}

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath ?? entry.path, entry.name));
}

function isGlob(text: string): boolean {
  return /[*?[\]{}]/.test(text);
}

async function expand(pattern: string): Promise<string[]> {
  const found = await stat(pattern).catch(() => null);
  if (found?.isFile()) return [pattern];
  if (found?.isDirectory()) {
    const files = (await filesBelow(pattern)).filter((file) => FORMATS.test(file)).sort();
    if (files.length > 0) return files;
    throw new UsageError(
      `${pattern}: expected .txt, .jsonl or .parquet files in this folder, found none.`,
    );
  }
  if (!isGlob(pattern)) {
    throw new UsageError(`${pattern}: there is no such file or folder.`);
  }
  const parts = pattern.split("/");
  const fixed = parts.slice(0, parts.findIndex(isGlob)).join("/");
  const root = fixed === "" ? (pattern.startsWith("/") ? "/" : ".") : fixed;
  const matches = matcher(pattern);
  const all = await filesBelow(root).catch(() => []);
  const files = all.filter((file) => matches(file.split(path.sep).join("/"))).sort();
  if (files.length > 0) return files;
  throw new UsageError(`${pattern}: no file matches.`);
}

/**
 * The files that the arguments name: files, folders, or globs (`*`, `**`, `?`, `[...]`, `{a,b}`), each one's in the
 * order of their names.
 * @throws UsageError where an argument names nothing, or a file of a kind that is not read
 */
export async function localFiles(patterns: readonly string[]): Promise<DataFile[]> {
  const files = (await Promise.all(patterns.map(expand))).flat();
  return Promise.all(
    files.map(async (file) => {
      if (!FORMATS.test(file)) {
        throw new UsageError(
          `${file}: expected a .txt, .jsonl or .parquet file (the first two also as .gz or .zst).`,
        );
      }
      const { size, mtimeMs } = await stat(file);
      return localFile(file, size, mtimeMs);
    }),
  );
}
