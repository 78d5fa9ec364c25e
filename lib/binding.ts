import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { LIBTORCH_ABI, locateLibtorch } from "./libtorch/index.js";
import type { NativeBinding } from "./native.js";
import { packageRoot } from "./package-root.js";

interface Loader {
  /**
   * Opens `libraries` in order, compares libtorch's version with `abi`, then opens and starts the binding; with the
   * kernels of the library `cudaPath` for CUDA, unless that is empty.
   */
  load(
    libraries: readonly string[],
    bindingPath: string,
    abi: bigint,
    cudaPath: string,
  ): NativeBinding;
}

interface NodeGypBuild {
  resolve(directory: string): string;
}

const LIBRARY_EXTENSION: Partial<Record<NodeJS.Platform, string>> = {
  win32: "dll",
  darwin: "dylib",
};

/**
 * libgomp, which reads this when it is opened, spins for a millisecond and more between two parallel regions: on a shared
 * machine that starves the thread it waits for. `npm run bench -- waiting` compares the settings.
 */
function boundSpinning(): void {
  if (process.env.OMP_WAIT_POLICY === undefined) process.env.GOMP_SPINCOUNT ??= "1000";
}

function loadBinding(): NativeBinding {
  const require = createRequire(import.meta.url);
  const nodeGypBuild = require("node-gyp-build") as NodeGypBuild;
  const loaderPath = nodeGypBuild.resolve(packageRoot());
  const loader = require(loaderPath) as Loader;
  boundSpinning();
  const beside = (name: string) =>
    path.join(path.dirname(loaderPath), `${name}.${LIBRARY_EXTENSION[process.platform] ?? "so"}`);
  const libtorch = locateLibtorch();
  const cudaPath = beside("wavegpt_cuda");
  return loader.load(
    libtorch.libraries,
    beside("wavegpt_torch"),
    LIBTORCH_ABI,
    libtorch.cuda && existsSync(cudaPath) ? cudaPath : "",
  );
}

/** The native addon, loaded when this module is first imported. */
export const binding: NativeBinding = loadBinding();
