import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { writing } from "./failure.js";

/** Writes all of `text`, however little the system takes at a time. */
export function writeAll(fd: number, text: string): void {
  const bytes = Buffer.from(text, "utf8");
  let written = 0;
  while (written < bytes.length) written += writeSync(fd, bytes, written);
}

/** Makes a folder's entries (new and renamed files) survive a loss of power. */
export function syncDirectory(path: string): void {
  // Windows cannot open a folder to sync it; NTFS journals its entries.
  if (process.platform === "win32") return;
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * Replaces a file's content so that a reader sees the old or the new, never a part.
 * @throws WaveGPTError ERR_WAVEGPT_WRITE; the old file is then left as it was.
 */
export function writeFileAtomic(path: string, text: string): void {
  writing(path, () => {
    const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.tmp`);
    try {
      const fd = openSync(temporary, "w");
      try {
        writeAll(fd, text);
        fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
      renameSync(temporary, path);
      syncDirectory(dirname(path));
    } catch (error) {
      rmSync(temporary, { force: true });
      throw error;
    }
  });
}
