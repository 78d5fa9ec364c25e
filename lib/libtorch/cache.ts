import { homedir } from "node:os";
import path from "node:path";
import { LIBTORCH_VERSION } from "./version.js";
import type { WheelBuild } from "./wheel-selection.js";

/**
 * Where downloads are kept: `WAVEGPT_CACHE_DIR`, else `XDG_CACHE_HOME/wavegpt`, else the platform's own place
 * (`~/.cache/wavegpt`, `~/Library/Caches/wavegpt`, `%LOCALAPPDATA%\wavegpt\Cache`). It may not exist yet.
 */
export function cacheDirectory(): string {
  const { WAVEGPT_CACHE_DIR, XDG_CACHE_HOME, LOCALAPPDATA } = process.env;
  if (WAVEGPT_CACHE_DIR) return path.resolve(WAVEGPT_CACHE_DIR);
  // The XDG specification: a relative path is invalid and to be ignored.
  if (XDG_CACHE_HOME && path.isAbsolute(XDG_CACHE_HOME))
    return path.join(XDG_CACHE_HOME, "wavegpt");
  switch (process.platform) {
    case "win32":
      return path.join(
        LOCALAPPDATA ?? path.join(homedir(), "AppData", "Local"),
        "wavegpt",
        "Cache",
      );
    case "darwin":
      return path.join(homedir(), "Library", "Caches", "wavegpt");
    default:
      return path.join(homedir(), ".cache", "wavegpt");
  }
}

/**
 * The cached libtorch of this version and platform: laid out as site-packages, so `torch/lib` is inside. With headers
 * and all, or of a build what is needed at run time.
 */
export function cachedLibtorchRoot(build?: WheelBuild): string {
  const suffix = build === undefined ? "" : `-${build}`;
  const name = `libtorch-${LIBTORCH_VERSION}-${process.platform}-${process.arch}${suffix}`;
  return path.join(cacheDirectory(), name);
}
