import { accessSync, constants, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { UsageError } from "../config/usage-error.js";
import { systemCode } from "./failure.js";
import type { RunFolder } from "./folder.js";

/**
 * Where a run's profile is to be written, absolute; null where none is asked for. Touches nothing.
 * @param given a file, or true for the one in the run's folder
 * @throws UsageError where it could not be written, or would replace what is no trace
 */
export function profileFile(given: string | true | undefined, folder: RunFolder): string | null {
  if (given === undefined) return null;
  if (given === true) return folder.profile;
  const path = resolve(given);
  if (!/\.json(\.gz)?$/.test(path)) {
    throw new UsageError(
      `--profile: expected a file whose name ends in .json or .json.gz, got ${JSON.stringify(given)}.`,
    );
  }
  if (path !== folder.profile && Object.values(folder).includes(path)) {
    throw new UsageError(`--profile: ${given} is another of the run's files.`);
  }
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) {
    throw new UsageError(`--profile: expected a file, but ${given} is a folder.`);
  }
  const parent = dirname(path);
  if (parent !== folder.path) {
    try {
      accessSync(parent, constants.W_OK);
    } catch (error) {
      throw new UsageError(
        `--profile: cannot write into ${parent} (${systemCode(error) ?? (error as Error).message}).`,
      );
    }
  }
  return path;
}
