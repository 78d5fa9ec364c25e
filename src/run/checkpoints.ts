import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { WaveGPTError } from "../../lib/errors.js";
import { syncDirectory } from "./atomic.js";
import { writing } from "./failure.js";

/** A complete checkpoint on disk. */
export interface CheckpointFolder {
  readonly step: number;
  readonly path: string;
}

/** The files of a checkpoint. */
export const CHECKPOINT_FILES = [
  "model.safetensors",
  "optimizer.safetensors",
  "state.json",
] as const;

const NAME = /^step-(\d{8,})$/;

/** `step-00000500` */
export function checkpointName(step: number): string {
  return `step-${String(step).padStart(8, "0")}`;
}

function entries(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}

/** The checkpoints in `folder`, oldest first; half-written ones are left out. */
export function listCheckpoints(folder: string): CheckpointFolder[] {
  return entries(folder)
    .flatMap((name) => {
      const match = NAME.exec(name);
      const path = join(folder, name);
      const complete = match && CHECKPOINT_FILES.every((file) => existsSync(join(path, file)));
      return complete ? [{ step: Number(match[1]), path }] : [];
    })
    .sort((a, b) => a.step - b.step);
}

/** Removes what crashes left behind and checkpoints after `lastStep`. */
export function clearCheckpoints(folder: string, lastStep: number): void {
  const whole = new Set(
    listCheckpoints(folder)
      .filter((checkpoint) => checkpoint.step <= lastStep)
      .map((checkpoint) => checkpoint.path),
  );
  for (const name of entries(folder)) {
    const path = join(folder, name);
    const ours = NAME.test(name) || name.startsWith(".step-");
    if (ours && !whole.has(path))
      writing(path, () => rmSync(path, { recursive: true, force: true }));
  }
}

/**
 * Writes a checkpoint in a temporary folder and moves it to its place whole, then drops the oldest.
 * @param write fills the folder it is given with {@link CHECKPOINT_FILES}, each synced.
 * @param keep how many checkpoints stay, at least 1
 * @throws WaveGPTError ERR_WAVEGPT_WRITE; the checkpoints before are then left as they were.
 */
export function saveCheckpoint(
  folder: string,
  step: number,
  keep: number,
  write: (folder: string) => void,
): string {
  const path = join(folder, checkpointName(step));
  const temporary = join(folder, `.${checkpointName(step)}.${process.pid}.tmp`);
  writing(path, () => {
    try {
      mkdirSync(temporary, { recursive: true });
      write(temporary);
      syncDirectory(temporary);
      rmSync(path, { recursive: true, force: true });
      renameSync(temporary, path);
      syncDirectory(folder);
    } catch (error) {
      rmSync(temporary, { recursive: true, force: true });
      throw error;
    }
  });
  for (const old of listCheckpoints(folder).slice(0, -keep)) {
    writing(old.path, () => rmSync(old.path, { recursive: true, force: true }));
  }
  return path;
}

/** An error in writing a run, with what is left and how to go on; other errors as they are. */
export function withWayOn(error: unknown, folder: string): unknown {
  if (!(error instanceof WaveGPTError) || error.code !== "ERR_WAVEGPT_WRITE") return error;
  const last = listCheckpoints(folder).at(-1);
  const left = last
    ? `The checkpoint of step ${last.step} is whole: once it can be written to again, go on from it with --resume.`
    : "There is no checkpoint yet: once it can be written to again, begin anew with --resume.";
  return new WaveGPTError(error.code, `${error.message} ${left}`, { cause: error.cause });
}
