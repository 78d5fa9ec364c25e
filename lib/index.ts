// For `using` in the declarations, whatever "lib" the user's project has.
/// <reference lib="esnext.disposable" preserve="true" />
/** `wavegpt/torch`: a PyTorch-like library over libtorch. */

export type { AutocastOptions } from "./amp.js";
export type { GradOptions } from "./autograd.js";
export type { FromTypedArrayOptions, TensorFromOptions } from "./creation.js";
export type { Device } from "./device.js";
export type { DType } from "./dtype.js";
export { WaveGPTError } from "./errors.js";
export type { Guard } from "./gradmode.js";
export type { Index, IndexValue, Slice } from "./indexing.js";
export * as nn from "./nn/index.js";
export * as optim from "./optim/index.js";
export type {
  EventAverage,
  KeyAverages,
  Profile,
  ProfileOptions,
  ProfilerActivity,
  ProfilerEvent,
  TableOptions,
} from "./profiler.js";
export { Generator } from "./random.js";
export * as safetensors from "./safetensors.js";
export type { Scope } from "./scope.js";
export { type BackwardOptions, Tensor, type ToOptions } from "./tensor.js";
export {
  type TokenPiece,
  TokenReader,
  type TokenReaderOptions,
  type TokenRows,
} from "./token-reader.js";
export { type Torch, torch } from "./torch.js";
export type {
  Complex,
  Int,
  Ints,
  Layout,
  MemoryFormat,
  Scalar,
  TensorOptions,
} from "./types.js";
export type { NestedValues, Value } from "./values.js";
