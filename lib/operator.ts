import { binding } from "./binding.js";
import { WaveGPTError } from "./errors.js";
import {
  ABSENT,
  GIVEN,
  header,
  MOST_ARGUMENTS,
  MOST_NUMBERS,
  NONE,
  numbers,
  OPERATOR,
} from "./frame.js";
import type { OperatorSchema } from "./native.js";

const { callFrame } = binding;

/** The schema of an operator. Throws `ERR_WAVEGPT_UNKNOWN_OPERATOR` where the loaded libtorch has none of that name. */
export function requireOperator(name: string, overload: string): OperatorSchema {
  const schema = binding.findOperator(name, overload);
  if (schema === null) {
    const full = overload === "" ? name : `${name}.${overload}`;
    throw new WaveGPTError(
      "ERR_WAVEGPT_UNKNOWN_OPERATOR",
      `${full}: libtorch ${binding.buildInformation().libtorch} has no such operator`,
      { operator: full },
    );
  }
  return schema;
}

/** An operator of libtorch as the binding calls it: with handles, numbers and integer codes, in schema order. */
export class NativeOperator {
  readonly id: number;
  /** For each argument that is a list the N of `int[N]` (0 without one), -1 for the others. */
  private readonly listSizes: readonly number[];
  /** Bit i: argument i is a Scalar, where a boolean is not a number. */
  private readonly scalars: number;

  constructor(schema: OperatorSchema) {
    this.id = schema.id;
    this.listSizes = schema.arguments.map(({ list, size }) => (list ? size : -1));
    this.scalars = schema.arguments.reduce(
      (mask, { base }, at) => (base === "Scalar" ? mask | (1 << at) : mask),
      0,
    );
  }

  /** Calls it with the first `count` of `values`, taken and returned as by `NativeBinding.call`. */
  call(values: readonly unknown[], count: number): unknown {
    if (!this.fill(values, count)) {
      return binding.call(this.id, ...(count === values.length ? values : values.slice(0, count)));
    }
    header[OPERATOR] = this.id;
    header[GIVEN] = count;
    const result = callFrame();
    if (result !== undefined) return result;
    const handle = numbers[0]!;
    return handle > 0 ? handle : handle === 0 ? undefined : null;
  }

  /** Writes the values to the call frame; false where it does not carry one of them. */
  private fill(values: readonly unknown[], count: number): boolean {
    if (count > MOST_ARGUMENTS) return false;
    let end = 0;
    let absent = 0;
    let none = 0;
    for (let at = 0; at < count; at += 1) {
      const value = values[at];
      if (value === undefined) absent |= 1 << at;
      else if (value === null) none |= 1 << at;
      else if (this.listSizes[at]! >= 0) {
        end = fillList(value, this.listSizes[at]!, end);
        if (end < 0) return false;
      } else if (end === MOST_NUMBERS) return false;
      else if (typeof value === "number") numbers[end++] = value;
      else if (typeof value === "boolean" && !((this.scalars >> at) & 1))
        numbers[end++] = value ? 1 : 0;
      else return false;
    }
    header[ABSENT] = absent;
    header[NONE] = none;
    return true;
  }
}

/** Writes a list at `start` of the call frame; returns where it ends, or -1 where the frame does not carry it. */
function fillList(value: unknown, size: number, start: number): number {
  if (!Array.isArray(value)) {
    // int[N]: one number stands for N of them.
    if (typeof value !== "number" || start + 1 + size > MOST_NUMBERS) return -1;
    numbers[start] = size;
    for (let at = 1; at <= size; at += 1) numbers[start + at] = value;
    return start + 1 + size;
  }
  const elements = value as readonly unknown[];
  const { length } = elements;
  let end = start + 1;
  if (end + length > MOST_NUMBERS) return -1;
  numbers[start] = length;
  for (let at = 0; at < length; at += 1) {
    const element = elements[at];
    if (typeof element !== "number") return -1;
    numbers[end++] = element;
  }
  return end;
}

/**
 * A native call of one operator, looked up when first called: arguments in schema order, as `NativeBinding.call` takes
 * them (handles, integer codes), results as it returns them.
 */
export function nativeOperator(name: string, overload = ""): (...values: unknown[]) => unknown {
  let operator: NativeOperator | null = null;
  return (...values) => {
    operator ??= new NativeOperator(requireOperator(name, overload));
    return operator.call(values, values.length);
  };
}
