import { WaveGPTError } from "./errors.js";
import { callGiven, callOne, callThree, callTwo, numbers } from "./frame.js";
import { requireOperator } from "./operator.js";
import { closeness, Overload } from "./overload.js";
import { isOptions, Operator, type Parameter } from "./signature.js";
import { Tensor } from "./tensor.js";
import { UNFIT, UNKNOWN } from "./written-call.js";

// How a call from JavaScript finds its overload. Overloads are tried in the order in which PyTorch's argument parser
// tries them, the first whose parameters take all arguments is called. The calls that programs spend their time in,
// `a.op()`, `a.op(b)`, `a.op(number)` and `a.view(2, 3)`, find their operator by two comparisons instead.

/** How many arguments may stand by position; options hold any number. */
export const MOST_POSITIONAL = 10;

/** All overloads of one name, as a method (`isMethod`) or a function. */
export class Overloads {
  /** Operator for `a.op()`, `a.op(tensor)`, `a.op(number)`; -1 where there is none, or not looked up yet. */
  alone = -1;
  withTensor = -1;
  withNumber = -1;
  /** `withNumber` takes integers only. */
  wholeNumber = false;
  /** `withNumber` takes it as a list of one, as `a.sum(0)` does. */
  inList = false;
  /** Operator for `a.view(2, 3)`: sizes one by one; -1 as above. */
  withSizes = -1;
  /** Operator for `a.transpose(0, 1)`: two integers; -1 as above. */
  withIntegers = -1;
  private readonly operatorName: string;
  private readonly specification: string;
  private readonly isMethod: boolean;
  private list: Overload[] | null = null;

  /** `specification`: see `generated/table.ts`. */
  constructor(operatorName: string, specification: string, isMethod: boolean) {
    this.operatorName = operatorName;
    this.specification = specification;
    this.isMethod = isMethod;
  }

  private resolve(): Overload[] {
    const find = (overload: string) =>
      new Operator(requireOperator(this.operatorName, overload === "-" ? "" : overload));
    const list = this.specification.split(" ").map((pair) => {
      const split = pair.indexOf(">");
      return split < 0
        ? new Overload(find(pair), null, this.isMethod)
        : new Overload(find(pair.slice(0, split)), find(pair.slice(split + 1)), this.isMethod);
    });
    this.list = list;
    const before = this.isMethod ? 0 : 1;
    const fast = (test: (parameter: Parameter | undefined) => boolean, count: number) => {
      for (const overload of list) {
        const { positional } = overload;
        if (!overload.takes(before + count) || !test(positional[before])) continue;
        if (before === 1 && !isPlainTensor(positional[0])) continue;
        const self = before === 1 ? positional[0]!.index : overload.selfPlace;
        // The tensor must be the first argument, and the other one right behind it.
        const ordered = self === 0 && (count === 0 || positional[before]!.index === 1);
        return ordered && overload.isSimple(self) ? overload.operator : null;
      }
      return null;
    };
    this.alone = fast(() => true, 0)?.id ?? -1;
    this.withTensor = fast(isPlainTensor, 1)?.id ?? -1;
    const number = fast(isNumeric, 1);
    if (number !== null) {
      const { base, list, size } = number.parameters[1]!;
      if (!list || size === 1) this.withNumber = number.id;
      this.wholeNumber = base === "int";
      this.inList = list;
    }
    const several = list.find(({ positional }) => positional.length > 1);
    if (this.isMethod && several !== undefined && takesTwoIntegers(several)) {
      this.withIntegers = several.operator.id;
    }
    const sizes = list.findIndex((overload) => overload.spread);
    // Those tried before it must not take several numbers.
    if (list.slice(0, sizes).every(({ positional }) => positional.length < 2)) {
      const overload = list[sizes];
      const ordered = overload?.selfPlace === 0 && overload.positional[0]!.index === 1;
      if (ordered && overload.operator.simpleReturn === -1) this.withSizes = overload.operator.id;
    }
    return list;
  }

  /** Calls the first overload that takes the arguments; throws `ERR_WAVEGPT_ARGUMENT` where none does. */
  call(self: Tensor | null, given: readonly unknown[], count: number): unknown {
    const list = this.list ?? this.resolve();
    let end = count;
    while (end > 0 && given[end - 1] === undefined) end -= 1;
    let options: Record<string, unknown> | null = null;
    if (end > 0 && isOptions(given[end - 1])) {
      end -= 1;
      options = given[end] as Record<string, unknown>;
    }
    for (let at = 0; at < list.length; at += 1) {
      const result = list[at]!.written.call(self, given, end, options);
      if (result === UNKNOWN) break;
      if (result !== UNFIT) return result;
    }
    for (let at = 0; at < list.length; at += 1) {
      const overload = list[at]!;
      const values = overload.takeValues();
      if (overload.match(self, given, end, options, values) === null) {
        return overload.run(self, given, options, values);
      }
      overload.giveValuesBack(values);
    }
    throw this.mismatchError(list, self, given, end, options);
  }

  private mismatchError(
    list: readonly Overload[],
    self: Tensor | null,
    given: readonly unknown[],
    count: number,
    options: Record<string, unknown> | null,
  ): WaveGPTError {
    const failures = list.map((overload) => ({
      overload,
      reason: overload.match(self, given, count, options, [])!,
    }));
    const deepest = Math.max(...failures.map(({ reason }) => closeness(reason)));
    const nearest = failures.filter(({ reason }) => closeness(reason) === deepest);
    const texts = new Set(nearest.map(({ overload, reason }) => overload.explain(reason)));
    const candidates = list.map((overload) => `\n  ${overload.operator.schema.schema}`).join("");
    const { argument } = (nearest.find(({ reason }) => reason.argument) ?? nearest[0]!).reason;
    return new WaveGPTError(
      "ERR_WAVEGPT_ARGUMENT",
      `${this.operatorName}: ${[...texts].join("; or ")}\nIt is called as one of:${candidates}`,
      { operator: this.operatorName, ...(argument === "" ? {} : { argument }) },
    );
  }
}

function isPlainTensor(parameter: Parameter | undefined): boolean {
  return parameter !== undefined && parameter.base === "Tensor" && !parameter.list;
}

function isNumeric(parameter: Parameter | undefined): boolean {
  if (parameter === undefined) return false;
  if (parameter.list) return parameter.base === "int" && parameter.size > 0;
  return parameter.base === "Scalar" || parameter.base === "int" || parameter.base === "float";
}

/** Whether the overload is called as `a.transpose(0, 1)`, `a` being the schema's first argument and the integers the next. */
function takesTwoIntegers(overload: Overload): boolean {
  const { positional, selfPlace } = overload;
  const inPlace = ({ base, list, index }: Parameter, at: number) =>
    base === "int" && !list && index === at + 1;
  return (
    selfPlace === 0 &&
    overload.takes(2) &&
    overload.isSimple(selfPlace) &&
    positional.slice(0, 2).every(inPlace)
  );
}

/** The first `count` arguments, up to three: most calls have no more, and a short array is made sooner. */
function first(count: number, a: unknown, b: unknown, c: unknown): unknown[] {
  return count > 2 ? [a, b, c] : count > 1 ? [a, b] : [a];
}

/** What a call gave: a new tensor, or the one it was called on. */
function wrap(result: number, self: Tensor): Tensor | null {
  return result > 0 ? new Tensor(result) : result === 0 ? self : null;
}

function callWithNumber({ withNumber, inList }: Overloads, self: Tensor, number: number): unknown {
  if (!inList) return wrap(callTwo(withNumber, self.handle, number), self);
  numbers[0] = self.handle;
  numbers[1] = 1;
  numbers[2] = number;
  return wrap(callGiven(withNumber, 2), self);
}

/** `self.view(a, b)`, up to four sizes; undefined where one is no integer. */
function callWithSizes(
  id: number,
  self: Tensor,
  count: number,
  a: unknown,
  b: unknown,
  c: unknown,
  d: unknown,
): unknown {
  if (count > 4 || !isInteger(a) || !isInteger(b)) return undefined;
  numbers[2] = a;
  numbers[3] = b;
  if (count > 2) {
    if (!isInteger(c)) return undefined;
    numbers[4] = c;
  }
  if (count > 3) {
    if (!isInteger(d)) return undefined;
    numbers[5] = d;
  }
  numbers[0] = self.handle;
  numbers[1] = count;
  return wrap(callGiven(id, 2), self);
}

function isInteger(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value);
}

/** `self.view([a, b])`, `self.view(a, b)` or `self.transpose(0, 1)`; undefined where the call is none of these. */
function callWithNumbers(
  overloads: Overloads,
  self: Tensor,
  count: number,
  a: unknown,
  b: unknown,
  c: unknown,
  d: unknown,
): unknown {
  if (count === 2 && overloads.withIntegers >= 0) {
    if (!isInteger(a) || !isInteger(b)) return undefined;
    return wrap(callThree(overloads.withIntegers, self.handle, a, b), self);
  }
  const id = overloads.withSizes;
  if (id < 0) return undefined;
  if (count > 1) return callWithSizes(id, self, count, a, b, c, d);
  if (!Array.isArray(a) || a.length < 2) return undefined;
  const sizes = a as unknown[];
  return callWithSizes(id, self, sizes.length, sizes[0], sizes[1], sizes[2], sizes[3]);
}

/** A method of `Tensor.prototype` for an operator. */
export function operatorMethod(operatorName: string, specification: string) {
  const overloads = new Overloads(operatorName, specification, true);
  return function method(
    this: Tensor,
    a?: unknown,
    b?: unknown,
    c?: unknown,
    d?: unknown,
    e?: unknown,
    f?: unknown,
    g?: unknown,
    h?: unknown,
    i?: unknown,
    j?: unknown,
  ): unknown {
    // biome-ignore lint/complexity/noArguments: its length costs nothing, a rest array would.
    const count = arguments.length;
    if (count === 1) {
      if (a instanceof Tensor) {
        if (overloads.withTensor >= 0) {
          return wrap(callTwo(overloads.withTensor, this.handle, a.handle), this);
        }
      } else if (
        typeof a === "number" &&
        overloads.withNumber >= 0 &&
        (!overloads.wholeNumber || Number.isInteger(a))
      ) {
        return callWithNumber(overloads, this, a);
      }
    } else if (count === 0 && overloads.alone >= 0) {
      return wrap(callOne(overloads.alone, this.handle), this);
    }
    const result = callWithNumbers(overloads, this, count, a, b, c, d);
    if (result !== undefined) return result;
    if (count > MOST_POSITIONAL) throw tooMany(operatorName, count);
    return overloads.call(
      this,
      count < 4 ? first(count, a, b, c) : [a, b, c, d, e, f, g, h, i, j],
      count,
    );
  };
}

/** A function of `torch` for an operator. */
export function operatorFunction(operatorName: string, specification: string) {
  const overloads = new Overloads(operatorName, specification, false);
  return function operator(
    a?: unknown,
    b?: unknown,
    c?: unknown,
    d?: unknown,
    e?: unknown,
    f?: unknown,
    g?: unknown,
    h?: unknown,
    i?: unknown,
    j?: unknown,
  ): unknown {
    // biome-ignore lint/complexity/noArguments: its length costs nothing, a rest array would.
    const count = arguments.length;
    if (a instanceof Tensor) {
      if (count === 2) {
        if (b instanceof Tensor) {
          if (overloads.withTensor >= 0) {
            return wrap(callTwo(overloads.withTensor, a.handle, b.handle), a);
          }
        } else if (
          typeof b === "number" &&
          overloads.withNumber >= 0 &&
          (!overloads.wholeNumber || Number.isInteger(b))
        ) {
          return callWithNumber(overloads, a, b);
        }
      } else if (count === 1 && overloads.alone >= 0) {
        return wrap(callOne(overloads.alone, a.handle), a);
      }
    }
    if (count > MOST_POSITIONAL) throw tooMany(operatorName, count);
    return overloads.call(
      null,
      count < 4 ? first(count, a, b, c) : [a, b, c, d, e, f, g, h, i, j],
      count,
    );
  };
}

function tooMany(operatorName: string, count: number): WaveGPTError {
  return new WaveGPTError(
    "ERR_WAVEGPT_ARGUMENT",
    `${operatorName}: expected at most ${MOST_POSITIONAL} positional arguments, got ${count}; pass the others by name, sizes as one array`,
    { operator: operatorName },
  );
}
