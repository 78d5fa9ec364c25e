import {
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { WaveGPTError } from "../errors.js";
import { cacheDirectory } from "./cache.js";
import { withLock } from "./lock.js";
import { libraryPath, unsupportedPlatform } from "./platform.js";
import { say } from "./telling.js";
import { LIBTORCH_VERSION, readLibtorchBuild } from "./version.js";

/** Written last into a finished folder, so that a folder without it is never taken for whole. */
const MARKER = "wavegpt-libtorch.json";

const WAYS_OUT =
  "Other ways: install the platform package beside wavegpt, set WAVEGPT_LIBTORCH to an unpacked libtorch " +
  `${LIBTORCH_VERSION} (a folder with lib/, such as site-packages/torch), or set WAVEGPT_PYTHON_TORCH=1 to take the torch of the active Python.`;

/** @throws WaveGPTError `ERR_WAVEGPT_LIBTORCH_FETCH` with the reason and the other ways. */
export function fail(message: string): never {
  throw new WaveGPTError(
    "ERR_WAVEGPT_LIBTORCH_FETCH",
    `libtorch ${LIBTORCH_VERSION} could not be fetched: ${message}\n${WAYS_OUT}`,
  );
}

export function freeBytes(directory: string): number {
  const { bavail, bsize } = statfsSync(directory);
  return bavail * bsize;
}

/** What is to become a folder of the cache. */
export interface Staged {
  /** Laid out as site-packages, with `torch/lib` inside. */
  readonly directory: string;
  /** The file that it came from. */
  readonly wheel: string;
  /** The Python that it is for, where a Python fetched it. */
  readonly python?: string;
}

/** The torch folder in a folder of the cache, or null where it was not fetched (entirely) yet. */
export function cachedLibtorch(root: string): string | null {
  const directory = path.join(root, "torch");
  return existsSync(path.join(root, MARKER)) && existsSync(libraryPath(directory, "torch_cpu"))
    ? directory
    : null;
}

function removeLeftovers(parent: string, root: string): void {
  for (const name of readdirSync(parent)) {
    if (name.startsWith(`${path.basename(root)}.partial-`)) {
      rmSync(path.join(parent, name), { recursive: true, force: true });
    }
  }
}

function publish({ directory, wheel, python }: Staged, root: string): void {
  const build = readLibtorchBuild(path.join(directory, "torch"));
  writeFileSync(
    path.join(directory, MARKER),
    `${JSON.stringify({ wheel, ...build, python }, null, 2)}\n`,
  );
  // A folder without the marker is what an older or interrupted removal left.
  if (existsSync(root) && cachedLibtorch(root) === null)
    rmSync(root, { recursive: true, force: true });
  try {
    renameSync(directory, root);
  } catch (error) {
    if (cachedLibtorch(root) === null) throw error; // else another process was quicker: its copy is as good
  }
}

/**
 * Makes the folder `root` of the cache, unless it is there. It appears under its name only when it is whole, and a second
 * process waits for the first.
 *
 * @param stage fills a folder: `staging` is of this try and is removed after it, `downloads` stays until one succeeds
 * @returns the torch folder in it
 * @throws WaveGPTError `ERR_WAVEGPT_LIBTORCH_FETCH`
 */
export function fillCache(
  root: string,
  stage: (staging: string, downloads: string) => Staged,
): string {
  const unsupported = unsupportedPlatform();
  if (unsupported !== null) fail(unsupported);
  const parent = cacheDirectory();
  try {
    mkdirSync(parent, { recursive: true });
  } catch (error) {
    fail(
      `the cache folder ${parent} cannot be made (${(error as Error).message}). Set WAVEGPT_CACHE_DIR to one that can.`,
    );
  }
  return withLock(
    `${root}.lock`,
    () => {
      const already = cachedLibtorch(root);
      if (already !== null) return already;
      removeLeftovers(parent, root);
      const staging = `${root}.partial-${process.pid}`;
      const downloads = path.join(parent, `downloads-${path.basename(root)}`);
      try {
        publish(stage(staging, downloads), root);
        rmSync(downloads, { recursive: true, force: true });
      } finally {
        rmSync(staging, { recursive: true, force: true });
      }
      const directory = cachedLibtorch(root);
      if (directory === null) fail(`${root} holds no libtorch after it was filled.`);
      say(`libtorch is in ${directory}`);
      return directory;
    },
    (pid) =>
      say(
        `waiting for process ${pid ?? "unknown"}, which is fetching libtorch (if it is not: remove ${root}.lock)`,
      ),
  );
}
