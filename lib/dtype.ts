import { describe, WaveGPTError } from "./errors.js";

/** c10::ScalarType codes; part of libtorch's stable serialised form. */
const CODES = {
  uint8: 0,
  int8: 1,
  int16: 2,
  int32: 3,
  int64: 4,
  float16: 5,
  float32: 6,
  float64: 7,
  complex32: 8,
  complex64: 9,
  complex128: 10,
  bool: 11,
  qint8: 12,
  quint8: 13,
  qint32: 14,
  bfloat16: 15,
  float8_e5m2: 23,
  float8_e4m3fn: 24,
  float8_e5m2fnuz: 25,
  float8_e4m3fnuz: 26,
  uint16: 27,
  uint32: 28,
  uint64: 29,
  float8_e8m0fnu: 44,
} as const;

/** An element type, by PyTorch's name. */
export type DType = keyof typeof CODES;

/** Every element type, by PyTorch's names. */
export const DTYPES = Object.keys(CODES) as readonly DType[];

const NAMES = new Map<number, DType>(DTYPES.map((name) => [CODES[name], name]));

const BYTES: Record<DType, number> = {
  uint8: 1,
  int8: 1,
  int16: 2,
  int32: 4,
  int64: 8,
  float16: 2,
  float32: 4,
  float64: 8,
  complex32: 4,
  complex64: 8,
  complex128: 16,
  bool: 1,
  qint8: 1,
  quint8: 1,
  qint32: 4,
  bfloat16: 2,
  float8_e5m2: 1,
  float8_e4m3fn: 1,
  float8_e5m2fnuz: 1,
  float8_e4m3fnuz: 1,
  uint16: 2,
  uint32: 4,
  uint64: 8,
  float8_e8m0fnu: 1,
};

export function isDType(value: unknown): value is DType {
  return typeof value === "string" && Object.hasOwn(CODES, value);
}

/** The ScalarType code of a dtype. Throws `ERR_WAVEGPT_DTYPE` for an unknown name. */
export function dtypeCode(dtype: DType): number {
  const code = isDType(dtype) ? CODES[dtype] : undefined;
  if (code === undefined) {
    throw new WaveGPTError(
      "ERR_WAVEGPT_DTYPE",
      `expected a dtype (${DTYPES.join(", ")}), got ${describe(dtype)}`,
    );
  }
  return code;
}

/** The dtype of a ScalarType code. */
export function dtypeName(code: number): DType {
  const name = NAMES.get(code);
  if (name === undefined) {
    throw new WaveGPTError("ERR_WAVEGPT_DTYPE", `libtorch's scalar type ${code} has no name here`);
  }
  return name;
}

/** Bytes of one element. */
export function elementSize(dtype: DType): number {
  return BYTES[dtype];
}

export function isComplex(dtype: DType): boolean {
  return dtype.startsWith("complex");
}

export function isFloatingPoint(dtype: DType): boolean {
  return dtype.startsWith("float") || dtype === "bfloat16";
}

/** Whole numbers, signed or not; bool is not one. */
export function isIntegral(dtype: DType): boolean {
  return dtype.startsWith("int") || dtype.startsWith("uint");
}

/** Limits of a floating point type, as `torch.finfo`. */
export interface FloatInformation {
  readonly dtype: DType;
  readonly bits: number;
  /** The difference between 1 and the next larger number. */
  readonly eps: number;
  readonly max: number;
  readonly min: number;
  /** The smallest positive normal number. */
  readonly tiny: number;
  readonly smallestNormal: number;
}

// Fraction bits, and the smallest and largest exponent of a normal number.
const FLOATS: Partial<Record<DType, readonly [fraction: number, lowest: number, highest: number]>> =
  {
    float64: [52, -1022, 1023],
    float32: [23, -126, 127],
    float16: [10, -14, 15],
    bfloat16: [7, -126, 127],
  };
const COMPONENTS: Partial<Record<DType, DType>> = {
  complex32: "float16",
  complex64: "float32",
  complex128: "float64",
};

/** Limits of a floating point type (of its parts for a complex one), as `torch.finfo`. */
export function finfo(dtype: DType): FloatInformation {
  const real = COMPONENTS[dtype] ?? dtype;
  const limits = FLOATS[real];
  if (limits === undefined) {
    throw new WaveGPTError(
      "ERR_WAVEGPT_DTYPE",
      `torch.finfo: expected a floating point dtype, got ${describe(dtype)}; use torch.iinfo for integers`,
      { operator: "torch.finfo", argument: "dtype" },
    );
  }
  const [fraction, lowest, highest] = limits;
  const max = (2 - 2 ** -fraction) * 2 ** highest;
  const tiny = 2 ** lowest;
  return {
    dtype: real,
    bits: BYTES[real] * 8,
    eps: 2 ** -fraction,
    max,
    min: -max,
    tiny,
    smallestNormal: tiny,
  };
}

/** Limits of an integer type, as `torch.iinfo`; bigints, so that 64 bits are exact. */
export function iinfo(dtype: DType): { dtype: DType; bits: number; min: bigint; max: bigint } {
  if (!isIntegral(dtype)) {
    throw new WaveGPTError(
      "ERR_WAVEGPT_DTYPE",
      `torch.iinfo: expected an integer dtype, got ${describe(dtype)}; use torch.finfo for floating point`,
      { operator: "torch.iinfo", argument: "dtype" },
    );
  }
  const bits = BYTES[dtype] * 8;
  const signed = dtype.startsWith("int");
  return {
    dtype,
    bits,
    min: signed ? -(1n << BigInt(bits - 1)) : 0n,
    max: (1n << BigInt(signed ? bits - 1 : bits)) - 1n,
  };
}
