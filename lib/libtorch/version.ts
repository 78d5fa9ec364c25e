import { existsSync, readFileSync } from "node:fs";
import path from "node:path";

/** The one version of libtorch that the binding is built for: a tensor's layout changes between minor versions. */
export const LIBTORCH_VERSION = "2.13.0";

/** The same version as `aoti_torch_abi_version()` reports it: major, minor and patch in the three upper bytes. */
export const LIBTORCH_ABI: bigint = LIBTORCH_VERSION.split(".").reduce(
  (abi, part, index) => abi | (BigInt(part) << BigInt(56 - 8 * index)),
  0n,
);

/** What a folder of libtorch says of itself. */
export interface LibtorchBuild {
  /** Without the build's suffix, e.g. `"2.13.0"`. */
  readonly version: string;
  /** What follows the plus sign, e.g. `"cpu"` or `"cu130"`; null where it is not said. */
  readonly build: string | null;
}

function splitVersion(text: string): LibtorchBuild {
  const [version = "", build] = text.trim().split("+", 2);
  return { version, build: build ?? null };
}

function versionOfHeader(text: string): string | null {
  const parts = ["MAJOR", "MINOR", "PATCH"].map(
    (part) => new RegExp(`define TORCH_VERSION_${part} (\\d+)`).exec(text)?.[1],
  );
  return parts.every((part) => part !== undefined) ? parts.join(".") : null;
}

/**
 * Reads the version of the libtorch in `directory` from the files beside its libraries, without loading it:
 * a wheel's `version.py`, the `build-version` of PyTorch's archives, or the headers. Null where none is there.
 */
export function readLibtorchBuild(directory: string): LibtorchBuild | null {
  const python = path.join(directory, "version.py");
  if (existsSync(python)) {
    const version = /^__version__ = '([^']+)'/m.exec(readFileSync(python, "utf8"))?.[1];
    if (version) return splitVersion(version);
  }
  const archive = path.join(directory, "build-version");
  if (existsSync(archive)) return splitVersion(readFileSync(archive, "utf8"));
  const header = path.join(directory, "include", "torch", "headeronly", "version.h");
  if (existsSync(header)) {
    const version = versionOfHeader(readFileSync(header, "utf8"));
    if (version) return { version, build: null };
  }
  return null;
}
