import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { WaveGPTError } from "../errors.js";
import { packageRoot } from "../package-root.js";
import { cachedLibtorchRoot } from "./cache.js";
import { fetchLibtorch } from "./fetch.js";
import { fetchWheels } from "./fetch-wheels.js";
import { cachedLibtorch } from "./fill-cache.js";
import { activeInterpreter } from "./interpreter.js";
import { cudaWanted, hasHeaders, libraryFile, libraryPath } from "./platform.js";
import { LIBTORCH_VERSION, readLibtorchBuild } from "./version.js";
import type { WheelBuild } from "./wheel-selection.js";

/** A libtorch on this machine. */
export interface Libtorch {
  /** Holds `lib/`, and `include/` where it came with headers. */
  readonly directory: string;
  /** Where it was found, in words, e.g. `"WAVEGPT_LIBTORCH"` or `"the cache"`. */
  readonly origin: string;
  /** Absolute paths to open in this order: `torch_cpu`, then `torch_cuda` where it is built in and usable. */
  readonly libraries: readonly string[];
  /** E.g. `"2.13.0"`; null where no file says it (the loader asks the library itself). */
  readonly version: string | null;
  /** The build's suffix, e.g. `"cpu"` or `"cu130"`, where it is said. */
  readonly build: string | null;
  /** Whether `torch_cuda` is among the libraries. */
  readonly cuda: boolean;
}

export interface LocateOptions {
  /** Fill the cache where no libtorch is found (default true, unless `WAVEGPT_NO_DOWNLOAD=1`). */
  readonly fetch?: boolean;
  /** Only one with headers, to build the binding against (default false). */
  readonly headers?: boolean;
}

function notFound(message: string): never {
  throw new WaveGPTError("ERR_WAVEGPT_LIBTORCH_NOT_FOUND", message);
}

function describe(directory: string, origin: string): Libtorch {
  const found = readLibtorchBuild(directory);
  if (
    found !== null &&
    found.version !== LIBTORCH_VERSION &&
    process.env.WAVEGPT_ANY_TORCH !== "1"
  ) {
    throw new WaveGPTError(
      "ERR_WAVEGPT_LIBTORCH_VERSION",
      `libtorch ${LIBTORCH_VERSION} is needed, but ${found.version} was found in ${directory} (from ${origin}). ` +
        "A tensor's layout in memory differs between versions, so it is not opened.",
    );
  }
  const cudaLibrary = libraryPath(directory, "torch_cuda");
  const cuda = existsSync(cudaLibrary) && cudaWanted();
  const cpuLibrary = libraryPath(directory, "torch_cpu");
  return {
    directory,
    origin,
    libraries: cuda ? [cpuLibrary, cudaLibrary] : [cpuLibrary],
    version: found?.version ?? null,
    build: found?.build ?? null,
    cuda,
  };
}

/** The folder with `lib/` that the user meant: the one given, or the `torch` inside it. */
function libtorchAt(given: string): string | null {
  const directory = path.resolve(given);
  return (
    [directory, path.join(directory, "torch")].find((folder) =>
      existsSync(libraryPath(folder, "torch_cpu")),
    ) ?? null
  );
}

function fromVariable(variable: "WAVEGPT_LIBTORCH" | "LIBTORCH"): Libtorch | null {
  const value = process.env[variable];
  if (!value) return null;
  const directory = libtorchAt(value);
  if (directory === null) {
    notFound(
      `${variable} is set to ${value}, where no lib/${libraryFile("torch_cpu")} lies. Set it to an unpacked libtorch ` +
        `${LIBTORCH_VERSION} (a folder with lib/, such as site-packages/torch), or unset it to have libtorch found or fetched.`,
    );
  }
  return describe(directory, variable);
}

function fromPython(): Libtorch | null {
  if (process.env.WAVEGPT_PYTHON_TORCH !== "1") return null;
  const python = activeInterpreter();
  const directory = python?.torch ?? null;
  if (python === null || directory === null || libtorchAt(directory) === null) {
    notFound(
      python === null
        ? "WAVEGPT_PYTHON_TORCH=1 asks for the torch of the active Python, but no Python 3 was found on the PATH."
        : `WAVEGPT_PYTHON_TORCH=1 asks for the torch of the active Python, but ${python.executable} has none: ` +
            `run ${python.executable} -m pip install torch==${LIBTORCH_VERSION}, or unset the variable.`,
    );
  }
  return describe(directory, `the torch of ${python.executable}`);
}

function packageFor(platform: string): string {
  return `@wavegpt/libtorch-${platform}`;
}

/** The packages that bring libtorch with wavegpt, each to its platform; optional, so that npm leaves the others out. */
export const LIBTORCH_PACKAGES = ["linux-x64", "linux-arm64", "darwin-arm64", "win32-x64"].map(
  packageFor,
);

/** The name of the package that brings libtorch to this platform. */
export function platformPackage(): string {
  return packageFor(`${process.platform}-${process.arch}`);
}

function fromPlatformPackage(): Libtorch | null {
  const require = createRequire(path.join(packageRoot(), "package.json"));
  let manifest: string;
  try {
    manifest = require.resolve(`${platformPackage()}/package.json`);
  } catch {
    return null;
  }
  const directory = libtorchAt(path.dirname(manifest));
  if (directory === null) {
    const { version } = JSON.parse(readFileSync(manifest, "utf8")) as { version?: string };
    notFound(
      `${platformPackage()} ${version ?? ""} is installed without its lib/${libraryFile("torch_cpu")}: remove node_modules and install again.`,
    );
  }
  return describe(directory, platformPackage());
}

function fromCache(build?: WheelBuild): Libtorch | null {
  const directory = cachedLibtorch(cachedLibtorchRoot(build));
  return directory === null ? null : describe(directory, "the cache");
}

/** What was not named, in the order in which it is taken: where there is a GPU, the CUDA build of wavegpt install. */
function* unnamed(): Generator<Libtorch | null> {
  if (cudaWanted()) yield fromCache("cuda");
  yield fromPlatformPackage();
  yield fromCache();
  yield fromCache("cpu");
  yield fromCache("cuda");
}

/**
 * Finds libtorch: `WAVEGPT_LIBTORCH`, `LIBTORCH`, the active Python's torch where `WAVEGPT_PYTHON_TORCH=1` asks for
 * it, where there is a GPU the CUDA build that `wavegpt install cuda` fetched, the platform package installed beside this
 * one, the user's cache; and where none is there, fills the cache.
 * What the user names is never passed over: if it is wrong, that is an error. Synchronous, for use at import.
 *
 * @throws WaveGPTError `ERR_WAVEGPT_LIBTORCH_NOT_FOUND`, `ERR_WAVEGPT_LIBTORCH_VERSION` where another version lies
 *   there, `ERR_WAVEGPT_LIBTORCH_FETCH` where it could not be fetched; each says what to do.
 */
export function locateLibtorch(options: LocateOptions = {}): Libtorch {
  const named = fromVariable("WAVEGPT_LIBTORCH") ?? fromVariable("LIBTORCH") ?? fromPython();
  if (named !== null) {
    if (options.headers && !hasHeaders(named.directory)) {
      notFound(
        `${named.directory} (from ${named.origin}) has no include/ATen/ATen.h: the binding is built against headers. ` +
          "Unset the variable to have a libtorch with headers fetched, or name one that has them.",
      );
    }
    return named;
  }
  for (const found of unnamed()) {
    if (found !== null && (!options.headers || hasHeaders(found.directory))) return found;
  }
  if (options.fetch === false || process.env.WAVEGPT_NO_DOWNLOAD === "1") {
    notFound(
      `libtorch ${LIBTORCH_VERSION} was not found: not in WAVEGPT_LIBTORCH or LIBTORCH, not as ${platformPackage()}, not in the cache` +
        `${process.env.WAVEGPT_NO_DOWNLOAD === "1" ? ", and --offline or WAVEGPT_NO_DOWNLOAD=1 forbids fetching it" : ""}.`,
    );
  }
  return describe(options.headers ? fetchLibtorch() : fetchWheels("cpu"), "the cache");
}
