import { createHash } from "node:crypto";
import { closeSync, existsSync, openSync, readdirSync, readFileSync, readSync } from "node:fs";
import path from "node:path";

/** One file of a wheel, as its `RECORD` lists it. */
export interface RecordEntry {
  /** Relative to site-packages, with forward slashes. */
  readonly file: string;
  /** URL-safe base64 without padding; null where the wheel gives none (RECORD itself). */
  readonly sha256: string | null;
}

/** Reads the lines of a wheel's `RECORD` (CSV with three columns: path, hash, size). */
export function parseRecord(text: string): RecordEntry[] {
  return text
    .split(/\r?\n/)
    .filter((line) => line !== "")
    .map((line) => {
      const match = /^(?:"((?:[^"]|"")*)"|([^,]*)),(?:sha256=([\w-]+)=*)?,/.exec(line);
      if (!match) throw new Error(`a line of RECORD is malformed: ${JSON.stringify(line)}`);
      return {
        file: match[1]?.replaceAll('""', '"') ?? match[2] ?? "",
        sha256: match[3] ?? null,
      };
    });
}

/** A file's SHA-256, read piece by piece: libtorch's libraries have 440 MB. */
export function sha256OfFile(file: string, encoding: "hex" | "base64url" = "hex"): string {
  const hash = createHash("sha256");
  const piece = Buffer.allocUnsafe(4 << 20);
  const descriptor = openSync(file, "r");
  try {
    for (;;) {
      const count = readSync(descriptor, piece);
      if (count === 0) return hash.digest(encoding);
      hash.update(piece.subarray(0, count));
    }
  } finally {
    closeSync(descriptor);
  }
}

/** The `*.dist-info` folders of a site-packages folder. */
export function distributionInfos(sitePackages: string): string[] {
  return readdirSync(sitePackages)
    .filter((name) => name.endsWith(".dist-info"))
    .map((name) => path.join(sitePackages, name));
}

/**
 * Compares every file that the packages in `sitePackages` recorded with what lies there.
 * Compiled `.pyc` files and scripts outside the folder are left out: pip makes those itself.
 *
 * @returns What is wrong, one line a file; empty when all is as recorded.
 */
export function verifyRecords(sitePackages: string): string[] {
  const wrong: string[] = [];
  for (const info of distributionInfos(sitePackages)) {
    const record = path.join(info, "RECORD");
    if (!existsSync(record)) {
      wrong.push(`${path.basename(info)} has no RECORD`);
      continue;
    }
    for (const { file, sha256 } of parseRecord(readFileSync(record, "utf8"))) {
      if (sha256 === null || file.startsWith("../") || file.endsWith(".pyc")) continue;
      const full = path.join(sitePackages, file);
      if (!existsSync(full)) wrong.push(`${file} is missing`);
      else {
        const found = sha256OfFile(full, "base64url");
        if (found !== sha256) wrong.push(`${file}: expected SHA-256 ${sha256}, found ${found}`);
      }
    }
  }
  return wrong;
}

/** The requirements of the package whose dist-info folder this is, as its METADATA states them. */
export function requirementsOf(info: string): string[] {
  const text = readFileSync(path.join(info, "METADATA"), "utf8");
  return [...text.matchAll(/^Requires-Dist: (.+?)\r?$/gm)].map((match) => match[1] ?? "");
}
