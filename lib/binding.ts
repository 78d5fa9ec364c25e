import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { addonLibrary, addonLoader, explainLoadError } from "./addon.js";
import { LIBTORCH_ABI, locateLibtorch } from "./libtorch/index.js";
import { libraryPath } from "./libtorch/platform.js";
import type { NativeBinding } from "./native.js";

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

/**
 * libgomp, which reads this when it is opened, spins for a millisecond and more between two parallel regions: on a shared
 * machine that starves the thread it waits for. `npm run bench -- waiting` compares the settings.
 */
function boundSpinning(): void {
  if (process.env.OMP_WAIT_POLICY === undefined) process.env.GOMP_SPINCOUNT ??= "1000";
}

function loadBinding(): NativeBinding {
  const loaderPath = addonLoader();
  let loader: Loader;
  try {
    loader = createRequire(import.meta.url)(loaderPath) as Loader;
  } catch (error) {
    throw explainLoadError(error, loaderPath);
  }
  boundSpinning();
  const libtorch = locateLibtorch();
  const cudaPath = addonLibrary(loaderPath, "wavegpt_cuda");
  try {
    return loader.load(
      // libc10 by its path too: LD_LIBRARY_PATH may lead to that of an older torch.
      [libraryPath(libtorch.directory, "c10"), ...libtorch.libraries],
      addonLibrary(loaderPath, "wavegpt_torch"),
      LIBTORCH_ABI,
      libtorch.cuda && existsSync(cudaPath) ? cudaPath : "",
    );
  } catch (error) {
    throw explainLoadError(
      error,
      `The addon (${loaderPath}) with the libtorch in ${libtorch.directory} (from ${libtorch.origin})`,
    );
  }
}

/** The native addon, loaded when this module is first imported. */
export const binding: NativeBinding = loadBinding();
