import { dtypeCode, isDType } from "./dtype.js";
import {
  ABSENT,
  CALLS,
  callGiven,
  header,
  MOST_ARGUMENTS,
  MOST_NUMBERS,
  NONE,
  numbers,
} from "./frame.js";
import type { Operator, Parameter } from "./signature.js";
import { Tensor } from "./tensor.js";

// Arguments written straight to the call frame, for the types that nearly all calls have. What has others, and what is
// a mistake, goes the general way of `Overload.match`, which collects the values first.

/** The arguments do not fit the overload. */
export const UNFIT = -1;
/** Whether they fit must be found the general way: they have types that are not written here, or a mistake. */
export const UNKNOWN = -2;

/** One overload, and how its arguments are written. */
export class WrittenCall {
  private readonly operator: Operator;
  private readonly out: Operator | null;
  private readonly outParameter: Parameter | null;
  /** Whether it is called on a tensor (a method), which then is the schema's first argument. */
  private readonly isMethod: boolean;
  private readonly positional: readonly Parameter[];
  private readonly byKey: ReadonlyMap<string, Parameter>;
  /** Bit i: argument i has no default. */
  private readonly required: number;
  private readonly spread: boolean;
  /** Whether calls are written at all. */
  private readonly possible: boolean;
  /** The options of the last call, in order: most calls have the same ones as those before. */
  private readonly lastKeys: string[] = [];
  private readonly lastParameters: Parameter[] = [];

  constructor(
    operator: Operator,
    out: Operator | null,
    outParameters: readonly Parameter[],
    self: number,
    positional: readonly Parameter[],
    byKey: ReadonlyMap<string, Parameter>,
    required: readonly Parameter[],
    spread: boolean,
  ) {
    const { simpleReturn } = operator;
    this.operator = operator;
    this.out = out;
    this.outParameter = outParameters.length === 1 ? outParameters[0]! : null;
    this.isMethod = self === 0;
    this.positional = positional;
    this.byKey = byKey;
    this.required = required.reduce((mask, { index }) => mask | (1 << index), 0);
    this.spread = spread;
    this.possible =
      self <= 0 &&
      (out ?? operator).parameters.length <= MOST_ARGUMENTS &&
      (simpleReturn === -1 || (simpleReturn === 0 && self === 0));
  }

  /** Calls the operator and returns what the user sees, or `UNFIT` or `UNKNOWN`, and then nothing was called. */
  call(
    self: Tensor | null,
    given: readonly unknown[],
    count: number,
    options: Record<string, unknown> | null,
  ): unknown {
    if (!this.possible || this.isMethod !== (self !== null)) return UNKNOWN;
    const { positional } = this;
    if (this.spread && (count > 1 || (count === 1 && !Array.isArray(given[0])))) return UNKNOWN;
    if (count > positional.length) return UNFIT;
    const calls = header[CALLS];
    cursor.end = 0;
    cursor.next = 0;
    cursor.absent = 0;
    cursor.none = 0;
    if (self !== null) {
      numbers[0] = self.handle;
      cursor.end = 1;
      cursor.next = 1;
    }
    for (let at = 0; at < count; at += 1) {
      const value = given[at];
      if (value === undefined) continue;
      const failure = write(positional[at]!, value);
      if (failure !== 0) return failure;
    }
    let out: unknown;
    if (options !== null) {
      let place = 0;
      for (const key in options) {
        const value = options[key];
        if (value === undefined) continue;
        const parameter = this.parameterOf(key, place);
        place += 1;
        if (parameter === null) {
          return key === "requiresGrad" || key === "out" ? UNKNOWN : UNFIT;
        }
        if (parameter === this.outParameter) out = value;
        const failure = write(parameter, value);
        if (failure !== 0) return failure;
      }
    }
    // What is behind the last one is absent too.
    if ((this.required & (cursor.absent | (-1 << cursor.next))) !== 0) return UNFIT;
    if (header[CALLS] !== calls) return UNKNOWN;
    header[ABSENT] = cursor.absent;
    header[NONE] = cursor.none;
    const { id } = out === undefined ? this.operator : this.out!;
    const result = callGiven(id, cursor.next);
    if (result > 0) return new Tensor(result);
    return result < 0 ? null : out === undefined ? self : out;
  }

  private parameterOf(key: string, place: number): Parameter | null {
    if (this.lastKeys[place] === key) return this.lastParameters[place]!;
    const found = key === "out" ? this.outParameter : (this.byKey.get(key) ?? null);
    if (found !== null && place <= this.lastKeys.length) {
      this.lastKeys[place] = key;
      this.lastParameters[place] = found;
    }
    return found;
  }
}

/** Where the writing is: the end of the numbers, the next argument, and the masks so far. */
const cursor = { end: 0, next: 0, absent: 0, none: 0 };

/** Writes one argument; returns 0, or why not. */
function write(parameter: Parameter, value: unknown): number {
  const { index } = parameter;
  // The frame has them in schema order; one given twice would come again, too.
  if (index < cursor.next) return UNKNOWN;
  for (; cursor.next < index; cursor.next += 1) cursor.absent |= 1 << cursor.next;
  cursor.next = index + 1;
  if (value === null) {
    if (!parameter.optional) return UNFIT;
    cursor.none |= 1 << index;
    return 0;
  }
  if (parameter.list) return writeList(parameter, value);
  if (cursor.end === MOST_NUMBERS) return UNKNOWN;
  switch (parameter.base) {
    case "Tensor":
      if (!(value instanceof Tensor)) return UNFIT;
      numbers[cursor.end++] = value.handle;
      return 0;
    case "int":
      if (typeof value !== "number") return typeof value === "bigint" ? UNKNOWN : UNFIT;
      if (!Number.isInteger(value)) return UNFIT;
      numbers[cursor.end++] = value;
      return 0;
    case "float":
    case "Scalar":
      if (typeof value !== "number") return UNKNOWN;
      numbers[cursor.end++] = value;
      return 0;
    case "bool":
      if (typeof value !== "boolean") return UNFIT;
      numbers[cursor.end++] = value ? 1 : 0;
      return 0;
    case "ScalarType":
      if (!isDType(value)) return UNFIT;
      numbers[cursor.end++] = dtypeCode(value);
      return 0;
    default:
      return UNKNOWN;
  }
}

function writeList(parameter: Parameter, value: unknown): number {
  const { base, size } = parameter;
  const start = cursor.end;
  if (!Array.isArray(value)) {
    if (base !== "int" || size === 0) return UNKNOWN;
    if (typeof value !== "number" || !Number.isInteger(value)) return UNKNOWN;
    if (start + 1 + size > MOST_NUMBERS) return UNKNOWN;
    numbers[start] = size;
    for (let at = 1; at <= size; at += 1) numbers[start + at] = value;
    cursor.end = start + 1 + size;
    return 0;
  }
  const elements = value as readonly unknown[];
  const { length } = elements;
  if (start + 1 + length > MOST_NUMBERS) return UNKNOWN;
  numbers[start] = length;
  if (base === "int") {
    for (let at = 0; at < length; at += 1) {
      const element = elements[at];
      if (typeof element !== "number" || !Number.isInteger(element)) return UNKNOWN;
      numbers[start + 1 + at] = element;
    }
  } else if (base === "Tensor") {
    for (let at = 0; at < length; at += 1) {
      const element = elements[at];
      if (!(element instanceof Tensor)) return UNKNOWN;
      numbers[start + 1 + at] = element.handle;
    }
  } else {
    return UNKNOWN;
  }
  cursor.end = start + 1 + length;
  return 0;
}
