import { markAsUntransferable } from "node:worker_threads";
import { binding } from "./binding.js";
import type { Device } from "./device.js";
import {
  type DType,
  dtypeCode,
  dtypeName,
  elementSize,
  iinfo,
  isComplex,
  isFloatingPoint,
} from "./dtype.js";
import { argumentError, describe, WaveGPTError } from "./errors.js";
import type { NativeTypedArray } from "./native.js";
import { type Flattened, flatten, type NestedNumbers, type NumberKind } from "./nested.js";
import { Tensor } from "./tensor.js";
import type { Complex } from "./types.js";

export interface TensorFromOptions {
  /** Default: from the values, see `tensor`. */
  dtype?: DType | undefined;
  /** Default `"cpu"`. */
  device?: Device | undefined;
  /** Default false. */
  requiresGrad?: boolean | undefined;
}

export interface FromTypedArrayOptions {
  /** Reads the array's elements as another type of the same size: a Uint16Array as the bits of bfloat16. */
  dtype?: DType | undefined;
  /** Shares the array's memory instead of copying it: writes to either are seen in both. Default false. */
  share?: boolean | undefined;
}

const ARRAY_DTYPES: Record<string, DType> = {
  Uint8Array: "uint8",
  Uint8ClampedArray: "uint8",
  Int8Array: "int8",
  Uint16Array: "uint16",
  Int16Array: "int16",
  Uint32Array: "uint32",
  Int32Array: "int32",
  Float32Array: "float32",
  Float64Array: "float64",
  BigInt64Array: "int64",
  BigUint64Array: "uint64",
};

// What else an array's bytes may be read as.
const REINTERPRETATIONS: Partial<Record<DType, readonly DType[]>> = {
  uint8: ["bool", "float8_e5m2", "float8_e4m3fn", "float8_e5m2fnuz", "float8_e4m3fnuz"],
  uint16: ["float16", "bfloat16"],
  float32: ["complex64"],
  float64: ["complex128"],
};

/** Typed arrays by their standard name, a Buffer as a Uint8Array. */
function arrayDtype(operator: string, argument: string, data: unknown): DType {
  const name = ArrayBuffer.isView(data)
    ? (data as unknown as Record<symbol, string>)[Symbol.toStringTag]
    : undefined;
  const dtype = name === undefined ? undefined : ARRAY_DTYPES[name];
  if (dtype === undefined) {
    throw argumentError(operator, argument, "a typed array of numbers or bigints", data);
  }
  return dtype;
}

/**
 * A tensor from a typed array, a copy unless `share` is set. Its dtype is the array's; with `dtype`, its bits are read as
 * another type of the same size. A shared array must not be resizable, and can no longer be transferred to a worker; nor may
 * it lie in the memory of a WebAssembly module, which moves when it grows.
 * @param shape default: one dimension
 */
export function fromTypedArray(
  data: NativeTypedArray,
  shape?: readonly number[],
  options: FromTypedArrayOptions = {},
): Tensor {
  const operator = "torch.fromTypedArray";
  const own = arrayDtype(operator, "data", data);
  const dtype = options.dtype ?? own;
  if (dtype !== own && !REINTERPRETATIONS[own]?.includes(dtype)) {
    throw new WaveGPTError(
      "ERR_WAVEGPT_DTYPE",
      `${operator}: argument 'dtype' expected ${[own, ...(REINTERPRETATIONS[own] ?? [])].join(" or ")} for a ${data.constructor.name}, got ${describe(dtype)}; use torch.tensor(data, { dtype }) to convert values`,
      { operator, argument: "dtype" },
    );
  }
  const sizes = shape ?? [isComplex(dtype) ? data.length / 2 : data.length];
  if (!options.share) return new Tensor(binding.fromTypedArray(data, sizes, dtypeCode(dtype)));
  const buffer = data.buffer as ArrayBufferLike & { resizable?: boolean; growable?: boolean };
  if (buffer.resizable === true || buffer.growable === true) {
    throw argumentError(operator, "data", "an array over a buffer of fixed length to share", data);
  }
  if (!(buffer instanceof SharedArrayBuffer)) pin(buffer);
  return new Tensor(binding.fromSharedTypedArray(data, sizes, dtypeCode(dtype)));
}

/** Transferring the buffer would take the memory away from under the tensor: forbids it, in each way there is. */
function pin(buffer: ArrayBuffer): void {
  markAsUntransferable(buffer);
  for (const method of ["transfer", "transferToFixedLength"]) {
    Object.defineProperty(buffer, method, {
      configurable: true,
      value: () => {
        throw new WaveGPTError(
          "ERR_WAVEGPT_ARGUMENT",
          `ArrayBuffer.${method}: a tensor made by torch.fromTypedArray shares this buffer's memory`,
          { operator: "torch.fromTypedArray" },
        );
      },
    });
  }
}

/** PyTorch's rule for literals, but for one thing: a JavaScript number is a float, as `1` and `1.0` are the same. */
export function inferDtype(kinds: ReadonlySet<NumberKind>): DType {
  const real = dtypeName(binding.defaultDtype());
  if (kinds.has("complex")) return real === "float64" ? "complex128" : "complex64";
  if (kinds.has("number") || kinds.size === 0) return real;
  return kinds.has("bigint") ? "int64" : "bool";
}

function partsOf(value: number | bigint | boolean | Complex): [number, number] {
  return typeof value === "object" ? [value.re, value.im] : [Number(value), 0];
}

function realPart(value: number | bigint | boolean | Complex, dtype: DType): number {
  if (typeof value === "object") {
    throw argumentError("torch.tensor", "data", `real numbers for dtype ${dtype}`, value);
  }
  return Number(value);
}

function wholePart(value: number | bigint | boolean | Complex, dtype: DType): bigint {
  if (typeof value === "bigint") return value;
  const real = realPart(value, dtype);
  if (!Number.isFinite(real)) {
    throw argumentError("torch.tensor", "data", `finite numbers for dtype ${dtype}`, value);
  }
  return BigInt(Math.trunc(real));
}

const WHOLE_ARRAYS = {
  uint8: Uint8Array,
  int8: Int8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
} as const;

function toArray({ values }: Flattened, dtype: DType): NativeTypedArray {
  if (dtype === "bool") {
    return Uint8Array.from(values.map((value) => (partsOf(value).some(Boolean) ? 1 : 0)));
  }
  if (isComplex(dtype)) {
    const parts = values.flatMap(partsOf);
    return dtype === "complex128" ? Float64Array.from(parts) : Float32Array.from(parts);
  }
  if (dtype === "float64") return Float64Array.from(values.map((value) => realPart(value, dtype)));
  if (isFloatingPoint(dtype))
    return Float32Array.from(values.map((value) => realPart(value, dtype)));
  const { min, max } = iinfo(dtype);
  const whole = values.map((value) => {
    const integer = wholePart(value, dtype);
    if (integer < min || integer > max) {
      throw argumentError("torch.tensor", "data", `values from ${min} to ${max}`, value);
    }
    return integer;
  });
  if (dtype === "int64") return BigInt64Array.from(whole);
  if (dtype === "uint64") return BigUint64Array.from(whole);
  return WHOLE_ARRAYS[dtype as keyof typeof WHOLE_ARRAYS].from(whole.map(Number));
}

// The type that JavaScript can write, from which libtorch converts.
function writtenAs(dtype: DType): DType {
  if (dtype === "complex32") return "complex64";
  return elementSize(dtype) <= 2 && isFloatingPoint(dtype) ? "float32" : dtype;
}

/**
 * A tensor from a number, nested arrays, a typed array or another tensor; always a copy, without autograd history.
 * Without `dtype`, numbers become `torch.getDefaultDtype()` (whole ones too: pass `dtype: "int64"` for indices), bigints
 * int64, booleans bool, `{ re, im }` complex, and typed arrays and tensors keep their own.
 */
export function tensor(
  data: NestedNumbers | NativeTypedArray | Tensor,
  options: TensorFromOptions = {},
): Tensor {
  const result = cast(create(data, options.dtype), options.dtype, options.device);
  return options.requiresGrad ? result.requiresGrad_(true) : result;
}

function create(data: NestedNumbers | NativeTypedArray | Tensor, dtype: DType | undefined): Tensor {
  if (data instanceof Tensor) {
    const detached = data.detach();
    const copy = detached.clone();
    detached.dispose();
    return copy;
  }
  if (ArrayBuffer.isView(data)) return fromTypedArray(data as NativeTypedArray);
  const flat = flatten("torch.tensor", "data", data);
  const written = writtenAs(dtype ?? inferDtype(flat.kinds));
  const made = new Tensor(
    binding.fromTypedArray(toArray(flat, written), flat.shape, dtypeCode(written)),
  );
  const wanted = dtype ?? inferDtype(flat.kinds);
  return cast(made, wanted, undefined);
}

/** Converts and frees what it converted from. */
function cast(made: Tensor, dtype: DType | undefined, device: Device | undefined): Tensor {
  if (dtype === undefined && device === undefined) return made;
  const result = made.to({ dtype, device });
  if (result !== made) made.dispose();
  return result;
}
