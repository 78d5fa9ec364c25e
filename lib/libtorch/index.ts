/** Where libtorch comes from: found on this machine, or fetched into the user's cache at first use. */

export { cacheDirectory, cachedLibtorchRoot } from "./cache.js";
export {
  LIBTORCH_PACKAGES,
  type Libtorch,
  type LocateOptions,
  locateLibtorch,
  platformPackage,
} from "./locate.js";
export { LIBTORCH_ABI, LIBTORCH_VERSION } from "./version.js";
export { isWanted } from "./wheel-selection.js";
