import { existsSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { WaveGPTError } from "./errors.js";
import { unsupportedPlatform } from "./libtorch/platform.js";
import { isClone, packageRoot } from "./package-root.js";

const EXTENSION: Partial<Record<NodeJS.Platform, string>> = { win32: "dll", darwin: "dylib" };

function prebuiltPlatforms(root: string): string[] {
  const folder = path.join(root, "prebuilds");
  return existsSync(folder) ? readdirSync(folder) : [];
}

/**
 * The addon's loader, `wavegpt.node`: the one that was built in this clone, else the one that the package brings for
 * this platform. Its libraries lie beside it ({@link addonLibrary}).
 *
 * @throws WaveGPTError `ERR_WAVEGPT_ADDON_NOT_FOUND` that says for which platforms there is one, and what to do.
 */
export function addonLoader(): string {
  const require = createRequire(import.meta.url);
  const nodeGypBuild = require("node-gyp-build") as { resolve(directory: string): string };
  const root = packageRoot();
  try {
    return nodeGypBuild.resolve(root);
  } catch (cause) {
    const platform = `${process.platform}-${process.arch}`;
    const brought = prebuiltPlatforms(root);
    const others =
      brought.length > 0 ? `it has those for ${brought.join(", ")}` : "it has none at all";
    const remedy = isClone()
      ? "Build it: npm run build:binding."
      : brought.length > 0
        ? "Another platform's has to be built from a clone of the repository."
        : "Install wavegpt again.";
    throw new WaveGPTError(
      "ERR_WAVEGPT_ADDON_NOT_FOUND",
      `The native addon for ${platform} is not in ${root}: ${others}. ${remedy}`,
      { cause },
    );
  }
}

/** The path of one of the addon's libraries, which may not be there. */
export function addonLibrary(loader: string, name: string): string {
  return path.join(path.dirname(loader), `${name}.${EXTENSION[process.platform] ?? "so"}`);
}

/**
 * What an error in opening native code means: the loader's own words, or that this machine is none that it is built
 * for, with what to do.
 *
 * @param what that was to be opened, in words
 */
export function explainLoadError(error: unknown, what: string): WaveGPTError {
  const { code, message } = error as NodeJS.ErrnoException;
  const unsupported = unsupportedPlatform();
  if (unsupported !== null) {
    return new WaveGPTError(
      "ERR_WAVEGPT_PLATFORM",
      `${what} could not be opened: ${message}\n${unsupported}`,
      { cause: error },
    );
  }
  return new WaveGPTError(
    code?.startsWith("ERR_WAVEGPT_") ? code : "ERR_WAVEGPT_BINDING_LOAD",
    `${what} could not be opened: ${message}\nnpx wavegpt doctor says what was found here and what to do.`,
    { cause: error },
  );
}
