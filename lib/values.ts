import { elementSize, isComplex } from "./dtype.js";
import { WaveGPTError } from "./errors.js";
import type { NativeTypedArray } from "./native.js";
import type { Tensor } from "./tensor.js";
import type { Complex } from "./types.js";

/** One element of a tensor: int64 is a bigint only beyond 2**53. */
export type Value = number | bigint | boolean | Complex;
/** `tolist()`: a value for a scalar, else arrays nested as deep as the tensor has dimensions. */
export type NestedValues = Value | NestedValues[];

function fromBigInt(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** A tensor's elements in row-major order. */
export function flatValues(tensor: Tensor): Value[] {
  const dtype = tensor.dtype;
  if (dtype.startsWith("q")) {
    throw new WaveGPTError(
      "ERR_WAVEGPT_DTYPE",
      `tolist: a quantized tensor (${dtype}) has no plain values; call dequantize() first`,
      { operator: "tolist", argument: "self" },
    );
  }
  // Types that JavaScript has no array for go through the next wider one that has, without loss.
  if (elementSize(dtype) <= 2 && (dtype.startsWith("float") || dtype === "bfloat16")) {
    const wide = tensor.to("float32");
    const values = Array.from(wide.toTypedArray() as Float32Array);
    wide.dispose();
    return values;
  }
  if (dtype === "complex32") {
    const wide = tensor.to("complex64");
    const values = flatValues(wide);
    wide.dispose();
    return values;
  }
  const data: NativeTypedArray = tensor.toTypedArray();
  if (dtype === "bool") return Array.from(data as Uint8Array, (byte) => byte !== 0);
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) {
    return Array.from(data, fromBigInt);
  }
  if (isComplex(dtype)) {
    const parts = data as Float32Array | Float64Array;
    return Array.from({ length: parts.length / 2 }, (_, at) => ({
      re: parts[2 * at]!,
      im: parts[2 * at + 1]!,
    }));
  }
  return Array.from(data as Float64Array);
}

/** Arranges row-major values as nested arrays of the given shape. */
export function nest<T>(values: readonly T[], shape: readonly number[]): T | NestedArray<T> {
  if (shape.length === 0) return values[0]!;
  let offset = 0;
  const build = (dim: number): NestedArray<T> => {
    const length = shape[dim]!;
    if (dim === shape.length - 1) {
      offset += length;
      return values.slice(offset - length, offset);
    }
    return Array.from({ length }, () => build(dim + 1));
  };
  return build(0);
}

export type NestedArray<T> = (T | NestedArray<T>)[];
