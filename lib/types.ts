import type { Device } from "./device.js";
import type { DType } from "./dtype.js";
import type { Tensor } from "./tensor.js";

// The types of operators' arguments, for the generated declarations.

/** A complex number. */
export interface Complex {
  readonly re: number;
  readonly im: number;
}

/** An integer; bigints reach all of int64. */
export type Int = number | bigint;
export type Ints = readonly Int[];
/** `int[N]` in a schema: one number stands for N of them. */
export type IntOrInts = Int | Ints;
/** A number of any kind. Whole numbers are integers, as Python's literals without a point are. */
export type Scalar = number | bigint | boolean | Complex;
export type Tensors = readonly Tensor[];
export type OptionalTensors = readonly (Tensor | null)[];

/** How elements lie in memory. */
export type Layout =
  | "strided"
  | "sparse_coo"
  | "sparse_csr"
  | "sparse_csc"
  | "sparse_bsr"
  | "sparse_bsc"
  | "mkldnn"
  | "jagged";

export type MemoryFormat =
  | "contiguous_format"
  | "preserve_format"
  | "channels_last"
  | "channels_last_3d";

/** Where and as what a new tensor is made. */
export interface TensorOptions {
  /** Default: torch.getDefaultDtype(), or what the values or the prototype tensor say. */
  dtype?: DType | null | undefined;
  /** Default `"strided"`. */
  layout?: Layout | null | undefined;
  /** Default `"cpu"`, or the prototype tensor's. */
  device?: Device | null | undefined;
  /** Page-locked memory, for CUDA copies. Default false. */
  pinMemory?: boolean | null | undefined;
  /** Whether autograd records operations on the result. Default false. */
  requiresGrad?: boolean | undefined;
}

export type { Device, DType, Tensor };
