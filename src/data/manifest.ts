import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { WaveGPTError } from "../../lib/errors.js";
import type { TokenDtype } from "./token-file.js";

/** A shard of a part: a .npy file of a prepared folder. */
export interface Shard {
  readonly file: string;
  readonly tokens: number;
  /** Of the whole file. */
  readonly sha256: string;
}

/** The training or the validation part of a prepared folder. */
export interface ManifestPart {
  readonly documents: number;
  readonly tokens: number;
  /** Unicode code points of the documents' text. */
  readonly characters: number;
  /** Of the documents' text as UTF-8. */
  readonly bytes: number;
  readonly shards: readonly Shard[];
}

export const PARTS = ["train", "val"] as const;
export type PartName = (typeof PARTS)[number];

/** `manifest.json` of a folder that `wavegpt prepare` wrote. */
export interface Manifest extends Readonly<Record<PartName, ManifestPart>> {
  readonly format: "wavegpt-tokens";
  readonly version: 1;
  readonly dtype: TokenDtype;
  /** Which tokenizer; its own file is `tokenizer.json` beside this one. */
  readonly tokenizer: {
    readonly kind: string;
    readonly vocabSize: number;
    readonly sha256: string;
  };
  /** The token that each document begins with, or null where the tokenizer has none. */
  readonly endOfText: number | null;
  /** Where the documents came from, with the revision of a dataset and the sizes of files. */
  readonly source: Readonly<Record<string, unknown>>;
  /** How documents were told apart. */
  readonly split: { readonly rule: string; readonly validation: number };
  /** Documents without text, which were left out. */
  readonly emptyDocuments: number;
}

export const MANIFEST = "manifest.json";
export const TOKENIZER = "tokenizer.json";
/** What {@link MANIFEST} takes the place of when all is done. */
export const PROGRESS = "progress.json";

/**
 * Reads a prepared folder's manifest.
 * @throws WaveGPTError ERR_WAVEGPT_DATA where there is none, or it is not one
 */
export function readManifest(folder: string): Manifest {
  const path = join(folder, MANIFEST);
  const fail = (what: string, cause?: unknown): never => {
    throw new WaveGPTError("ERR_WAVEGPT_DATA", `${path}: ${what}`, { cause });
  };
  if (!existsSync(path))
    fail("there is no such file; expected a folder that `wavegpt prepare` wrote.");
  let manifest: Manifest;
  try {
    manifest = JSON.parse(readFileSync(path, "utf8")) as Manifest;
  } catch (error) {
    return fail(`is not valid JSON: ${(error as Error).message}`, error);
  }
  if (manifest?.format !== "wavegpt-tokens" || manifest.version !== 1) {
    fail(
      `expected the format "wavegpt-tokens", version 1, got ${JSON.stringify(manifest?.format)}, version ${JSON.stringify(manifest?.version)}.`,
    );
  }
  return manifest;
}
