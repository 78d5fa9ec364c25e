import { type DType, Tensor, torch } from "../../lib/index.js";
import { camelCase } from "../../lib/signature.js";

// Replays calls that record-operators.py recorded.

/** A tensor of a record: its storage's bytes in base64, seen through strides. */
export interface RecordedTensor {
  t: DType;
  shape: number[];
  strides: number[];
  offset: number;
  data: string;
}

export type Recorded =
  | null
  | boolean
  | number
  | string
  | RecordedTensor
  | { i: string }
  | { f: string }
  | { c: [Recorded, Recorded] }
  | { d: DType }
  | Recorded[];

export interface RecordedCall {
  kind: "method" | "function" | "nn" | "linalg" | "fft" | "special";
  name: string;
  args: Recorded[];
  kwargs: Record<string, Recorded>;
  result: Recorded;
}

const SPECIAL_FLOATS: Record<string, number> = {
  inf: Number.POSITIVE_INFINITY,
  "-inf": Number.NEGATIVE_INFINITY,
  nan: Number.NaN,
};
const BITS: Partial<
  Record<DType, (bytes: ArrayBuffer) => Parameters<typeof torch.fromTypedArray>[0]>
> = {
  float64: (bytes) => new Float64Array(bytes),
  float32: (bytes) => new Float32Array(bytes),
  float16: (bytes) => new Uint16Array(bytes),
  bfloat16: (bytes) => new Uint16Array(bytes),
  complex64: (bytes) => new Float32Array(bytes),
  complex128: (bytes) => new Float64Array(bytes),
  uint16: (bytes) => new Uint16Array(bytes),
  uint32: (bytes) => new Uint32Array(bytes),
  uint64: (bytes) => new BigUint64Array(bytes),
  int64: (bytes) => new BigInt64Array(bytes),
  int32: (bytes) => new Int32Array(bytes),
  int16: (bytes) => new Int16Array(bytes),
  int8: (bytes) => new Int8Array(bytes),
  uint8: (bytes) => new Uint8Array(bytes),
  bool: (bytes) => new Uint8Array(bytes),
};

export function tensorOf(recorded: RecordedTensor): Tensor {
  const array = BITS[recorded.t];
  if (array === undefined) throw new Error(`no array for ${recorded.t}`);
  const bytes = Buffer.from(recorded.data, "base64");
  const flat = torch.fromTypedArray(array(new Uint8Array(bytes).buffer), undefined, {
    dtype: recorded.t,
  });
  return flat.asStrided(recorded.shape, recorded.strides, recorded.offset);
}

export function decode(recorded: Recorded): unknown {
  if (typeof recorded !== "object" || recorded === null) return recorded;
  if (Array.isArray(recorded)) return recorded.map(decode);
  if ("t" in recorded) return tensorOf(recorded);
  if ("i" in recorded) return BigInt(recorded.i);
  if ("f" in recorded) return SPECIAL_FLOATS[recorded.f];
  if ("d" in recorded) return recorded.d;
  return { re: decode(recorded.c[0]), im: decode(recorded.c[1]) };
}

const GROUPS: Record<string, { functions: object; prefix: string }> = {
  function: { functions: torch, prefix: "" },
  nn: { functions: torch.nnFunctional, prefix: "" },
  linalg: { functions: torch.linalg, prefix: "linalg_" },
  fft: { functions: torch.fft, prefix: "fft_" },
  special: { functions: torch.special, prefix: "special_" },
};

/** The function or method of this library for a recorded call, or null where it has none. */
export function find(call: RecordedCall): ((...values: unknown[]) => unknown) | null {
  if (call.kind === "method") {
    const method = Reflect.get(Tensor.prototype, camelCase(call.name)) as unknown;
    return typeof method === "function"
      ? (self, ...values) => (method as (...values: unknown[]) => unknown).apply(self, values)
      : null;
  }
  // Python's torch.ops: an operator with its overload.
  if (call.name.includes(".")) return torch.ops.find(`aten::${call.name}`);
  const { functions, prefix } = GROUPS[call.kind]!;
  const own = call.name.startsWith(prefix) ? call.name.slice(prefix.length) : call.name;
  const found = Reflect.get(functions, camelCase(own)) as unknown;
  return typeof found === "function" ? (found as (...values: unknown[]) => unknown) : null;
}

/** Calls it with Python's arguments: those by position stay so, keywords become one object of options. */
export function replay(call: RecordedCall, target: (...values: unknown[]) => unknown): unknown {
  const values = call.args.map(decode);
  const options = Object.fromEntries(
    Object.entries(call.kwargs).map(([name, value]) => [camelCase(name), decode(value)]),
  );
  if (Object.keys(options).length > 0) values.push(options);
  return target(...values);
}

function sameBits(a: Tensor, b: Tensor): boolean {
  const [x, y] = [a, b].map((tensor) => {
    const array = tensor.toTypedArray();
    return Buffer.from(array.buffer, array.byteOffset, array.byteLength);
  });
  return x!.equals(y!);
}

/** Why a result is not the recorded one, or null. */
export function difference(actual: unknown, expected: Recorded, at = "result"): string | null {
  if (Array.isArray(expected)) {
    if (!Array.isArray(actual) || actual.length !== expected.length) {
      return `${at}: expected ${expected.length} values, got ${String(actual)}`;
    }
    for (const [place, element] of expected.entries()) {
      const found = difference(actual[place], element, `${at}[${place}]`);
      if (found !== null) return found;
    }
    return null;
  }
  if (typeof expected === "object" && expected !== null && "t" in expected) {
    if (!(actual instanceof Tensor)) return `${at}: expected a tensor, got ${String(actual)}`;
    if (actual.dtype !== expected.t || actual.shape.join() !== expected.shape.join()) {
      return `${at}: expected ${expected.t} [${expected.shape}], got ${actual.dtype} [${actual.shape}]`;
    }
    const wanted = tensorOf(expected);
    if (sameBits(actual, wanted)) return null;
    return `${at}: expected ${wanted}, got ${actual}`;
  }
  const wanted = decode(expected);
  if (Object.is(wanted, actual)) return null;
  if (typeof actual === "object" && JSON.stringify(actual) === JSON.stringify(wanted)) return null;
  return `${at}: expected ${JSON.stringify(wanted)}, got ${String(actual)}`;
}
