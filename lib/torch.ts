import { autocast, autocastGuard, getAutocastDtype, isAutocastEnabled } from "./amp.js";
import { backward, grad } from "./autograd.js";
import { cpu, cuda, mps } from "./backends.js";
import { fromTypedArray, tensor } from "./creation.js";
import { DTYPES, finfo, iinfo } from "./dtype.js";
import { einsum, full, isTensor, nonzero, numel, unique, uniqueConsecutive } from "./functions.js";
import type { TorchFunctions } from "./generated/functions.js";
import {
  enableGrad,
  enableGradGuard,
  inferenceMode,
  inferenceModeGuard,
  isGradEnabled,
  isInferenceModeEnabled,
  noGrad,
  noGradGuard,
  setGradEnabled,
} from "./gradmode.js";
import { ellipsis, newaxis, slice } from "./indexing.js";
import { LIBTORCH_VERSION } from "./libtorch/version.js";
import { fft, functions, linalg, nnFunctional, special } from "./operators.js";
import { ops } from "./ops.js";
import { getPrintOptions, setPrintOptions } from "./print.js";
import { Profile, profile, recordFunction, recordFunctionGuard } from "./profiler.js";
import { Generator, getRngState, initialSeed, manualSeed, seed, setRngState } from "./random.js";
import { keep, Scope, scope, scopeDepth, tidy } from "./scope.js";
import {
  areDeterministicAlgorithmsEnabled,
  buildInformation,
  getDefaultDtype,
  memory,
  setDefaultDtype,
  useDeterministicAlgorithms,
} from "./settings.js";
import { Tensor } from "./tensor.js";
import {
  getNumInteropThreads,
  getNumThreads,
  setNumInteropThreads,
  setNumThreads,
} from "./threads.js";

const own = {
  // Tensors from values
  Tensor,
  tensor,
  fromTypedArray,
  full,
  dtypes: DTYPES,
  finfo,
  iinfo,
  isTensor,

  // Indexing and printing
  slice,
  ellipsis,
  newaxis,
  setPrintOptions,
  getPrintOptions,

  // Functions written around operators
  einsum,
  unique,
  uniqueConsecutive,
  nonzero,
  numel,

  // Groups of operators, and all operators by schema
  linalg,
  fft,
  special,
  /** The operators that PyTorch keeps in `torch._C._nn`. */
  nnFunctional,
  ops,

  // Ownership
  Scope,
  scope,
  tidy,
  keep,
  scopeDepth,
  memory,

  // Autograd and modes
  autograd: { grad, backward },
  noGrad,
  noGradGuard,
  enableGrad,
  enableGradGuard,
  inferenceMode,
  inferenceModeGuard,
  isGradEnabled,
  setGradEnabled,
  isInferenceModeEnabled,
  autocast,
  autocastGuard,
  isAutocastEnabled,
  getAutocastDtype,

  /** Where time goes: in PyTorch, `torch.profiler`. */
  profiler: { Profile, profile, recordFunction, recordFunctionGuard },

  // Random numbers
  Generator,
  manualSeed,
  seed,
  initialSeed,
  getRngState,
  setRngState,

  // Settings, threads and devices
  getDefaultDtype,
  setDefaultDtype,
  useDeterministicAlgorithms,
  areDeterministicAlgorithmsEnabled,
  getNumThreads,
  setNumThreads,
  getNumInteropThreads,
  setNumInteropThreads,
  cpu,
  cuda,
  mps,
  /** The version of libtorch this package is built for. */
  version: LIBTORCH_VERSION,
  buildInformation,
};

type Own = typeof own;

/** `torch`: the generated functions and what this library adds to them. */
export interface Torch extends Omit<TorchFunctions, keyof Own>, Own {}

// As a prototype, V8 keeps an object of so many functions in its fast form.
export const torch: Torch = Object.setPrototypeOf(own, functions) as Torch;
