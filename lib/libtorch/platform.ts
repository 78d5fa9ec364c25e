import { existsSync } from "node:fs";
import path from "node:path";

const PREFIX = process.platform === "win32" ? "" : "lib";
const EXTENSION =
  process.platform === "win32" ? "dll" : process.platform === "darwin" ? "dylib" : "so";

/** The file name of one of libtorch's libraries here, e.g. `libtorch_cpu.so`. */
export function libraryFile(name: string): string {
  return `${PREFIX}${name}.${EXTENSION}`;
}

/** Where `directory` keeps the library `name`. */
export function libraryPath(directory: string, name: string): string {
  return path.join(directory, "lib", libraryFile(name));
}

/** The headers that a build of the binding needs. */
export function hasHeaders(directory: string): boolean {
  return existsSync(path.join(directory, "include", "ATen", "ATen.h"));
}

/** glibc's version on Linux; null on Linux without it (musl) and elsewhere. */
export function glibcVersion(): string | null {
  if (process.platform !== "linux") return null;
  const report = process.report?.getReport() as { header?: { glibcVersionRuntime?: string } };
  return report?.header?.glibcVersionRuntime ?? null;
}

/** The platforms that PyTorch publishes libtorch 2.13 for. */
const PUBLISHED = ["linux-x64", "linux-arm64", "darwin-arm64", "win32-x64", "win32-arm64"];

/** Why there is no libtorch to fetch for this machine, or null where there is. */
export function unsupportedPlatform(): string | null {
  const name = `${process.platform}-${process.arch}`;
  if (!PUBLISHED.includes(name)) {
    return `PyTorch publishes no libtorch for ${name} (only for ${PUBLISHED.join(", ")}).`;
  }
  if (process.platform !== "linux") return null;
  const glibc = glibcVersion();
  if (glibc === null) {
    return "PyTorch publishes no libtorch for musl, which this Linux (Alpine?) uses: take a Node built for glibc, such as Debian's.";
  }
  const [major = 0, minor = 0] = glibc.split(".").map(Number);
  if (major < 2 || (major === 2 && minor < 28)) {
    return `libtorch needs glibc 2.28 or newer, this Linux has ${glibc}.`;
  }
  return null;
}

function driverFolders(): string[] {
  const own = (process.env.LD_LIBRARY_PATH ?? "").split(path.delimiter).filter(Boolean);
  const triplet = process.arch === "arm64" ? "aarch64-linux-gnu" : "x86_64-linux-gnu";
  return [
    ...own,
    `/usr/lib/${triplet}`,
    `/lib/${triplet}`,
    "/usr/lib64",
    "/usr/lib",
    "/usr/local/lib",
    "/usr/lib/wsl/lib",
    "/usr/local/nvidia/lib64",
    "/usr/local/cuda/compat",
    "/run/opengl-driver/lib",
  ];
}

/** The NVIDIA driver's CUDA library, found by looking and not by loading it; null where there is none. */
export function cudaDriver(): string | null {
  if (process.platform === "darwin") return null;
  const candidates =
    process.platform === "win32"
      ? [path.join(process.env.SystemRoot ?? "C:\\Windows", "System32", "nvcuda.dll")]
      : driverFolders().map((folder) => path.join(folder, "libcuda.so.1"));
  return candidates.find((file) => existsSync(file)) ?? null;
}

/**
 * Whether CUDA is to be tried at all: the driver is there and the user has hidden neither
 * CUDA (`WAVEGPT_CUDA=0`) nor every device (`CUDA_VISIBLE_DEVICES` empty or -1).
 */
export function cudaWanted(): boolean {
  if (process.env.WAVEGPT_CUDA === "0") return false;
  const visible = process.env.CUDA_VISIBLE_DEVICES?.trim();
  return visible !== "" && visible !== "-1" && cudaDriver() !== null;
}
