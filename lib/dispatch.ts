import { binding } from "./binding.js";
import { describe, WaveGPTError } from "./errors.js";
import type { Handle } from "./native.js";
import { requireOperator } from "./operator.js";
import {
  convert,
  expectation,
  isOptions,
  MISMATCH,
  Operator,
  type Parameter,
} from "./signature.js";
import { Tensor } from "./tensor.js";

// How a call from JavaScript finds its overload. Overloads are tried in the order in which PyTorch's argument parser
// tries them, the first whose parameters take all arguments is called. The calls that programs spend their time in,
// `a.op()`, `a.op(b)` and `a.op(number)`, find their operator by two comparisons instead.

const call = binding.call;

/** Why an overload does not take the arguments; `depth` is how many arguments it took. */
interface Mismatch {
  depth: number;
  argument: string | null;
  message: string;
}

/** How many arguments may stand by position; options hold any number. */
export const MOST_POSITIONAL = 10;

/** One overload, with its `out` form. */
class Overload {
  readonly operator: Operator;
  private readonly out: Operator | null;
  private readonly outParameters: readonly Parameter[];
  /** The schema place of the tensor that a method is called on, or -1. */
  private readonly self: number;
  readonly positional: readonly Parameter[];
  private readonly byKey = new Map<string, Parameter>();
  private readonly spread: boolean;
  private readonly factory: boolean;

  constructor(operator: Operator, out: Operator | null, isMethod: boolean) {
    this.operator = operator;
    this.out = out;
    this.outParameters = out === null ? [] : out.parameters.filter(isOut);
    this.self = isMethod
      ? operator.parameters.findIndex((parameter) => parameter.name === "self")
      : -1;
    const own = operator.parameters.filter((parameter) => parameter.index !== this.self);
    this.positional = own.filter((parameter) => !parameter.kwargOnly);
    for (const parameter of own) {
      this.byKey.set(parameter.name, parameter);
      this.byKey.set(parameter.key, parameter);
    }
    const [only] = this.positional;
    // `x.view(2, 3)`: sizes may stand one by one where they are the only positional argument.
    this.spread =
      this.positional.length === 1 && only!.base === "int" && only!.list && only!.size === 0;
    this.factory = ["dtype", "layout", "device", "pin_memory"].every((name) =>
      this.byKey.has(name),
    );
  }

  /** Whether the overload takes `count` positional arguments and nothing else. */
  takes(count: number): boolean {
    return (
      this.positional.length >= count &&
      this.operator.parameters.every(
        (parameter) =>
          parameter.hasDefault ||
          parameter.index === this.self ||
          (this.positional.indexOf(parameter, 0) < count && !parameter.kwargOnly),
      )
    );
  }

  /** Whether a single result is a new tensor, or the tensor the operator was called on. */
  isSimple(self: number): boolean {
    const returned = this.operator.simpleReturn;
    return returned === -1 || (returned >= 0 && returned === self);
  }

  get selfPlace(): number {
    return this.self;
  }

  /** Fills `values` in schema order; returns null, or why the arguments do not fit. */
  match(
    self: Tensor | null,
    given: readonly unknown[],
    count: number,
    options: Record<string, unknown> | null,
    values: unknown[],
  ): Mismatch | null {
    let depth = 0;
    if (self !== null) values[this.self] = self.handle;
    if (
      count > this.positional.length ||
      (this.spread && count === 1 && !Array.isArray(given[0]))
    ) {
      if (!this.spread) {
        const message = `takes at most ${this.positional.length} positional arguments, got ${count}`;
        return { depth: this.positional.length - 1, argument: null, message };
      }
      const only = this.positional[0]!;
      const sizes = convert(only, given.slice(0, count));
      if (sizes === MISMATCH) return wrong(only, given[0], 0);
      values[only.index] = sizes;
      depth = count;
    } else {
      for (let at = 0; at < count; at += 1) {
        const value = given[at];
        if (value === undefined) continue;
        const parameter = this.positional[at]!;
        const converted = convert(parameter, value);
        if (converted === MISMATCH) return wrong(parameter, value, depth);
        values[parameter.index] = converted;
        depth += 1;
      }
    }
    if (options !== null) {
      for (const key in options) {
        const value = options[key];
        if (value === undefined) continue;
        if (key === "out" && this.outParameters.length > 0) {
          const mismatch = this.matchOut(value, values, depth);
          if (mismatch !== null) return mismatch;
          depth += 1;
          continue;
        }
        const parameter = this.byKey.get(key);
        if (parameter === undefined) {
          if (key === "requiresGrad" && this.factory && typeof value === "boolean") continue;
          const known = [...new Set([...this.byKey.values()].map((other) => other.key))];
          if (this.outParameters.length > 0) known.push("out");
          const message = `has no argument '${key}'; it takes ${known.length > 0 ? known.join(", ") : "none"}`;
          return { depth, argument: key, message };
        }
        if (values[parameter.index] !== undefined) {
          return { depth, argument: key, message: `argument '${key}' was given twice` };
        }
        const converted = convert(parameter, value);
        if (converted === MISMATCH) return wrong(parameter, value, depth);
        values[parameter.index] = converted;
        depth += 1;
      }
    }
    for (const parameter of this.operator.parameters) {
      if (!parameter.hasDefault && values[parameter.index] === undefined) {
        const message = `argument '${parameter.key}' is missing: expected ${expectation(parameter)}`;
        return { depth, argument: parameter.key, message };
      }
    }
    return null;
  }

  private matchOut(value: unknown, values: unknown[], depth: number): Mismatch | null {
    const several = this.outParameters.length > 1;
    const tensors = several && Array.isArray(value) ? (value as unknown[]) : [value];
    if (tensors.length !== this.outParameters.length) {
      const message = `argument 'out' expected an array of ${this.outParameters.length} Tensors, got ${describe(value)}`;
      return { depth, argument: "out", message };
    }
    for (const [at, parameter] of this.outParameters.entries()) {
      const converted = convert(parameter, tensors[at]);
      if (converted === MISMATCH) return wrong(parameter, tensors[at], depth);
      values[parameter.index] = converted;
    }
    return null;
  }

  run(
    self: Tensor | null,
    given: readonly unknown[],
    options: Record<string, unknown> | null,
    values: unknown[],
  ): unknown {
    const out = options !== null && options.out !== undefined ? this.out : null;
    const operator = out ?? this.operator;
    const result = callNative(operator.id, values);
    const wrapped = operator.wrap(result, (index) => {
      if (index === this.self) return self;
      const parameter = operator.parameters[index]!;
      if (out !== null && isOut(parameter)) {
        const given = options!.out;
        return Array.isArray(given) ? given[this.outParameters.indexOf(parameter)] : given;
      }
      const place = this.positional.findIndex((other) => other.index === index);
      if (place >= 0 && given[place] !== undefined) return given[place];
      return options?.[parameter.key] ?? options?.[parameter.name];
    });
    if (this.factory && options?.requiresGrad === true) (wrapped as Tensor).requiresGrad_(true);
    return wrapped;
  }
}

function isOut(parameter: Parameter): boolean {
  return parameter.mutated && parameter.kwargOnly;
}

function wrong(parameter: Parameter, value: unknown, depth: number): Mismatch {
  const message = `argument '${parameter.key}' expected ${expectation(parameter)}, got ${describe(value)}`;
  return { depth, argument: parameter.key, message };
}

function callNative(id: number, values: readonly unknown[]): unknown {
  let count = values.length;
  while (count > 0 && values[count - 1] === undefined) count -= 1;
  switch (count) {
    case 1:
      return call(id, values[0]);
    case 2:
      return call(id, values[0], values[1]);
    case 3:
      return call(id, values[0], values[1], values[2]);
    case 4:
      return call(id, values[0], values[1], values[2], values[3]);
    case 5:
      return call(id, values[0], values[1], values[2], values[3], values[4]);
    default:
      return call(id, ...values.slice(0, count));
  }
}

/** All overloads of one name, as a method (`isMethod`) or a function. */
export class Overloads {
  /** Operator for `a.op()`, `a.op(tensor)`, `a.op(number)`; -1 where there is none, or not looked up yet. */
  alone = -1;
  withTensor = -1;
  withNumber = -1;
  /** `withNumber` takes integers only. */
  wholeNumber = false;
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
      this.withNumber = number.id;
      this.wholeNumber = number.parameters[1]!.base === "int";
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
    const mismatches: Mismatch[] = [];
    for (const overload of list) {
      const values: unknown[] = new Array(overload.operator.parameters.length).fill(undefined);
      const mismatch = overload.match(self, given, end, options, values);
      if (mismatch === null) return overload.run(self, given, options, values);
      mismatches.push(mismatch);
    }
    throw this.mismatchError(list, mismatches);
  }

  private mismatchError(list: readonly Overload[], mismatches: readonly Mismatch[]): WaveGPTError {
    const best = mismatches.reduce((a, b) => (b.depth > a.depth ? b : a));
    const reasons = mismatches.filter((other) => other.depth === best.depth);
    const texts = [...new Set(reasons.map((reason) => reason.message))];
    const candidates = list.map((overload) => `\n  ${overload.operator.schema.schema}`).join("");
    return new WaveGPTError(
      "ERR_WAVEGPT_ARGUMENT",
      `${this.operatorName}: ${texts.join("; or ")}\nIt is called as one of:${candidates}`,
      {
        operator: this.operatorName,
        ...(best.argument === null ? {} : { argument: best.argument }),
      },
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
          const result = call(overloads.withTensor, this.handle, a.handle);
          return result === undefined ? this : new Tensor(result as Handle);
        }
      } else if (
        typeof a === "number" &&
        overloads.withNumber >= 0 &&
        (!overloads.wholeNumber || Number.isInteger(a))
      ) {
        const result = call(overloads.withNumber, this.handle, a);
        return result === undefined ? this : new Tensor(result as Handle);
      }
    } else if (count === 0) {
      if (overloads.alone >= 0) {
        const result = call(overloads.alone, this.handle);
        return result === undefined ? this : new Tensor(result as Handle);
      }
    } else if (count > MOST_POSITIONAL) {
      throw tooMany(operatorName, count);
    }
    return overloads.call(this, [a, b, c, d, e, f, g, h, i, j], count);
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
            const result = call(overloads.withTensor, a.handle, b.handle);
            return result === undefined ? a : new Tensor(result as Handle);
          }
        } else if (
          typeof b === "number" &&
          overloads.withNumber >= 0 &&
          (!overloads.wholeNumber || Number.isInteger(b))
        ) {
          const result = call(overloads.withNumber, a.handle, b);
          return result === undefined ? a : new Tensor(result as Handle);
        }
      } else if (count === 1 && overloads.alone >= 0) {
        const result = call(overloads.alone, a.handle);
        return result === undefined ? a : new Tensor(result as Handle);
      }
    }
    if (count > MOST_POSITIONAL) throw tooMany(operatorName, count);
    return overloads.call(null, [a, b, c, d, e, f, g, h, i, j], count);
  };
}

function tooMany(operatorName: string, count: number): WaveGPTError {
  return new WaveGPTError(
    "ERR_WAVEGPT_ARGUMENT",
    `${operatorName}: expected at most ${MOST_POSITIONAL} positional arguments, got ${count}; pass the others by name, sizes as one array`,
    { operator: operatorName },
  );
}
