import path from "node:path";
import { pathToFileURL } from "node:url";
import { fail, root, runModule } from "./process.mjs";

/**
 * The package's own search for libtorch (`lib/libtorch/`), compiled alone: the binding is built before the
 * rest of the TypeScript can be checked.
 */
export async function loadLibtorchModule() {
  const status = runModule("typescript/bin/tsc", ["-p", path.join("scripts", "tsconfig.json")]);
  if (status !== 0) fail("lib/libtorch does not compile (see above).");
  const file = path.join(root, "build", "scripts", "lib", "libtorch", "index.js");
  return import(pathToFileURL(file).href);
}

/** Finds libtorch, fetching it where that is needed, or ends with the reason in words. */
export async function locateLibtorch(options) {
  const module = await loadLibtorchModule();
  try {
    return module.locateLibtorch(options);
  } catch (error) {
    if (process.env.WAVEGPT_DEBUG === "1") throw error;
    return fail(error.message);
  }
}
