import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { WaveGPTError } from "../../lib/errors.js";
import { type PartName, PROGRESS } from "../data/manifest.js";
import { writeFileAtomic } from "../run/atomic.js";
import type { WrittenShards } from "./shards.js";
import type { Position } from "./source.js";

/** What has been written of a part. */
export interface PartProgress {
  readonly documents: number;
  readonly characters: number;
  readonly bytes: number;
  readonly shards: WrittenShards;
}

/** All that is needed to go on as if there had been no interruption. */
export interface Written {
  readonly position: Position;
  /** The part of a document that is written in part. */
  readonly open: PartName | null;
  readonly emptyDocuments: number;
  readonly parts: Readonly<Record<PartName, PartProgress>>;
}

/** `progress.json` of a folder that is being prepared. */
export interface Progress extends Written {
  readonly version: 1;
  /** What makes the folder's content: it goes on with the same only. */
  readonly plan: Readonly<Record<string, unknown>>;
  /** How it was when the current file was begun: where a file turns out to be damaged, this is returned to. */
  readonly fileStart: Written;
}

export function writeProgress(folder: string, progress: Progress): void {
  writeFileAtomic(join(folder, PROGRESS), `${JSON.stringify(progress)}\n`);
}

/**
 * How far the preparation in a folder is, or null where none has begun.
 * @throws WaveGPTError ERR_WAVEGPT_DATA where its file is damaged
 */
export function readProgress(folder: string): Progress | null {
  const path = join(folder, PROGRESS);
  if (!existsSync(path)) return null;
  try {
    const progress = JSON.parse(readFileSync(path, "utf8")) as Progress;
    if (progress.version !== 1) throw new Error(`expected version 1, got ${progress.version}`);
    return progress;
  } catch (error) {
    throw new WaveGPTError(
      "ERR_WAVEGPT_DATA",
      `${path} cannot be read: ${(error as Error).message}. Begin anew with --overwrite.`,
      { cause: error },
    );
  }
}
