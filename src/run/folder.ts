import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { UsageError } from "../config/usage-error.js";
import { systemCode, writing } from "./failure.js";
import { lockRun } from "./lock.js";

/** Everything a run writes, by name. */
const OWN_NAMES = [
  "config.json",
  "tokenizer.json",
  "metrics.jsonl",
  "checkpoints",
  "model.safetensors",
  "report.html",
  "profile.json",
] as const;

/** What to do with a folder that holds a run already. */
export type ExistingRun = "refuse" | "resume" | "overwrite";

/** Where a run's files lie. */
export interface RunFolder {
  readonly path: string;
  readonly config: string;
  readonly tokenizer: string;
  readonly metrics: string;
  readonly checkpoints: string;
  readonly model: string;
  readonly report: string;
  readonly profile: string;
}

/** The files of the run at `path`, whether there yet or not. */
export function runFolder(path: string): RunFolder {
  return {
    path,
    config: join(path, "config.json"),
    tokenizer: join(path, "tokenizer.json"),
    metrics: join(path, "metrics.jsonl"),
    checkpoints: join(path, "checkpoints"),
    model: join(path, "model.safetensors"),
    report: join(path, "report.html"),
    profile: join(path, "profile.json"),
  };
}

/** `runs/2026-11-25_01-30-00-wavegpt`, with a number where that is taken. */
export function freshRunPath(name: string, now = new Date()): string {
  const two = (n: number) => String(n).padStart(2, "0");
  const day = `${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())}`;
  const time = `${two(now.getHours())}-${two(now.getMinutes())}-${two(now.getSeconds())}`;
  const base = join("runs", `${day}_${time}-${name}`);
  let path = base;
  for (let n = 2; existsSync(path); n++) path = `${base}-${n}`;
  return path;
}

function contents(path: string): string[] | null {
  try {
    return readdirSync(path);
  } catch (error) {
    const code = systemCode(error);
    if (code === "ENOENT") return null;
    if (code === "ENOTDIR") {
      throw new UsageError(`--out: expected a folder, but ${path} is a file.`);
    }
    throw new UsageError(`--out: cannot read ${path}: ${(error as Error).message}.`);
  }
}

/**
 * Checks that a run may be written at `path`; touches nothing yet.
 * @throws UsageError where it holds files and `existing` does not say what to do with them.
 */
export function checkRunFolder(path: string, existing: ExistingRun): RunFolder {
  const names = contents(path);
  const isRun = names?.includes("config.json") ?? false;
  if (existing === "resume") {
    if (!isRun) {
      throw new UsageError(
        `--resume: ${path} holds no run: expected a folder with a config.json that \`wavegpt train\` wrote.`,
      );
    }
  } else if (names !== null && names.length > 0 && !isRun) {
    throw new UsageError(
      `--out: ${path} is not empty and holds no run, so nothing in it was touched. Choose another folder.`,
    );
  } else if (isRun && existing === "refuse") {
    throw new UsageError(
      `--out: ${path} holds a run already. Continue it with --resume, replace it with --overwrite, or choose another folder.`,
    );
  }
  return runFolder(resolve(path));
}

/**
 * Makes a run's folder ready to be written to, by this process alone; with `overwrite`, removes the files
 * of the run before.
 * @returns what gives the folder free again when it is disposed of
 * @throws UsageError where another process writes to it; WaveGPTError ERR_WAVEGPT_WRITE
 */
export function prepareRunFolder(folder: RunFolder, existing: ExistingRun): Disposable {
  prepareFolder(folder.path);
  const lock = lockRun(folder.path);
  try {
    const old = existing === "overwrite" ? OWN_NAMES : [];
    for (const path of old.map((name) => join(folder.path, name))) {
      writing(path, () => rmSync(path, { recursive: true, force: true }));
    }
    prepareFolder(folder.checkpoints);
  } catch (error) {
    lock[Symbol.dispose]();
    throw error;
  }
  return lock;
}

/** Whether `path` is a folder with a run in it. */
export function holdsRun(path: string): boolean {
  return existsSync(join(path, "config.json")) && statSync(path).isDirectory();
}

/** Makes a folder, and those it lies in, where they are missing. */
export function prepareFolder(path: string): void {
  writing(path, () => mkdirSync(path, { recursive: true }));
}

/**
 * Checks that a comparison may be written at `path`; touches nothing.
 * @throws UsageError where it holds one already and is not to be overwritten, or holds something else
 */
export function checkComparisonFolder(path: string, overwrite: boolean): void {
  const names = contents(path);
  if (names === null || names.length === 0) return;
  if (!names.includes("compare.json")) {
    throw new UsageError(
      `--out: ${path} is not empty and holds no comparison, so nothing in it was touched. Choose another folder.`,
    );
  }
  if (!overwrite) {
    throw new UsageError(
      `--out: ${path} holds a comparison already. Continue it with --resume, replace it with --overwrite, or choose another folder.`,
    );
  }
}
