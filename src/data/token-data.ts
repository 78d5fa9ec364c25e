import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { WaveGPTError } from "../../lib/errors.js";
import type { TokenArray } from "../tokenizer/index.js";
import {
  MANIFEST,
  type Manifest,
  PARTS,
  type PartName,
  PROGRESS,
  readManifest,
} from "./manifest.js";
import { mapTokens } from "./mapped.js";
import { readTokenFile, type TokenFile } from "./token-file.js";
import { JoinedTokens, type TokenSequence } from "./token-sequence.js";

/** A corpus that is tokens already. */
export interface TokenData {
  readonly path: string;
  readonly train: TokenSequence;
  readonly val: TokenSequence;
  /** What `wavegpt prepare` said of it; null for files of others. */
  readonly manifest: Manifest | null;
  /** SHA-256 of what tells this corpus from another: its manifest, or its files' names, sizes and beginnings. */
  readonly sha256: string;
}

const TOKENS = /\.(npy|bin)$/;
const byNumber = new Intl.Collator("en", { numeric: true });

function fail(path: string, what: string): never {
  throw new WaveGPTError("ERR_WAVEGPT_DATA", `${path}: ${what}`);
}

/** Whether a path is tokens rather than text: a prepared folder, one with .npy or .bin files, or such a file. */
export function holdsTokens(path: string): boolean {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.isDirectory()) {
    return readdirSync(path).some(
      (name) => name === MANIFEST || name === PROGRESS || TOKENS.test(name),
    );
  }
  return found !== undefined && TOKENS.test(path);
}

function open(folder: string, manifest: Manifest, part: PartName): TokenSequence {
  const arrays = manifest[part].shards.flatMap(({ file, tokens }) => {
    const path = join(folder, file);
    if (!existsSync(path)) fail(path, `there is no such file, but ${MANIFEST} lists it.`);
    const found = readTokenFile(path);
    if (found.tokens !== tokens || found.dtype !== manifest.dtype) {
      fail(
        path,
        `expected ${tokens} ${manifest.dtype} tokens as ${MANIFEST} says, got ${found.tokens} ${found.dtype}.`,
      );
    }
    return mapTokens(found);
  });
  return new JoinedTokens(arrays);
}

function openPrepared(folder: string): TokenData {
  const manifest = readManifest(folder);
  const sha256 = createHash("sha256")
    .update(readFileSync(join(folder, MANIFEST)))
    .digest("hex");
  const [train, val] = PARTS.map((part) => open(folder, manifest, part));
  return { path: folder, train: train!, val: val!, manifest, sha256 };
}

function identity(files: readonly TokenFile[]): string {
  const hash = createHash("sha256");
  for (const file of files) {
    hash.update(`${basename(file.path)}\n${file.format} ${file.dtype} ${file.tokens}\n`);
    const [tokens] = mapTokens(file);
    if (tokens === undefined) continue;
    const begin = tokens.subarray(0, 1 << 16);
    hash.update(new Uint8Array(begin.buffer, begin.byteOffset, begin.byteLength));
  }
  return hash.digest("hex");
}

/** Files of others: those with `val` in their name are held out; without any, the end of the tokens is. */
function openFiles(path: string, names: readonly string[], trainFraction: number): TokenData {
  const files = [...names].sort(byNumber.compare).map(readTokenFile);
  const held = files.filter((file) => /val|test/i.test(basename(file.path)));
  const rest = files.filter((file) => !held.includes(file));
  if (rest.length === 0)
    fail(path, "holds no tokens to train on: every file is for validation by its name.");
  const arrays = (of: readonly TokenFile[]): TokenArray[] => of.flatMap(mapTokens);
  const sha256 = identity(files);
  const all = new JoinedTokens(arrays(rest));
  if (held.length > 0) {
    return { path, train: all, val: new JoinedTokens(arrays(held)), manifest: null, sha256 };
  }
  const boundary = Math.floor(all.length * trainFraction);
  const [train, val] = [all.slice(0, boundary), all.slice(boundary, all.length)];
  return { path, train, val, manifest: null, sha256 };
}

/**
 * Maps a corpus of tokens: a folder that `wavegpt prepare` wrote, a folder of the reference's `.npy` shards or of
 * nanoGPT's or llm.c's `.bin` files, or one such file.
 *
 * @param trainFraction the share, from the beginning, to train on, where files do not say by name what is held out
 * @throws WaveGPTError ERR_WAVEGPT_DATA naming the file that is missing, damaged or of another kind
 */
export function openTokenData(path: string, trainFraction: number): TokenData {
  if (!statSync(path).isDirectory()) return openFiles(path, [path], trainFraction);
  if (existsSync(join(path, MANIFEST))) return openPrepared(path);
  if (existsSync(join(path, PROGRESS))) {
    fail(
      path,
      "its preparation is not finished. Go on with the same `wavegpt prepare` and --resume.",
    );
  }
  const names = readdirSync(path).filter((name) => TOKENS.test(name));
  return openFiles(
    path,
    names.map((name) => join(path, name)),
    trainFraction,
  );
}
