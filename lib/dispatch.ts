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

/** Why an overload does not take the arguments; `depth` is how many it took. Put in words only if none takes them. */
interface Mismatch {
  readonly depth: number;
  readonly kind: "type" | "unknown" | "missing" | "twice" | "many" | "out";
  readonly argument: string;
  readonly parameter: Parameter | null;
  readonly value: unknown;
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
  private readonly required: readonly Parameter[];
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
    this.required = own.filter((parameter) => !parameter.hasDefault);
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
    const { positional } = this;
    let depth = 0;
    if (self !== null) values[this.self] = self.handle;
    if (this.spread && (count > 1 || (count === 1 && !Array.isArray(given[0])))) {
      const only = positional[0]!;
      const sizes = convert(only, given.slice(0, count));
      if (sizes === MISMATCH) return mismatch(0, "type", only, given[0]);
      values[only.index] = sizes;
      depth = count;
    } else if (count > positional.length) {
      return mismatch(positional.length - 1, "many", null, count);
    } else {
      for (let at = 0; at < count; at += 1) {
        const value = given[at];
        if (value === undefined) continue;
        const parameter = positional[at]!;
        const converted = convert(parameter, value);
        if (converted === MISMATCH) return mismatch(depth, "type", parameter, value);
        values[parameter.index] = converted;
        depth += 1;
      }
    }
    if (options !== null) {
      const failure = this.matchOptions(options, values, depth);
      if (failure !== null) return failure;
      depth += 1;
    }
    for (const parameter of this.required) {
      if (values[parameter.index] === undefined) return mismatch(depth, "missing", parameter, null);
    }
    return null;
  }

  private matchOptions(
    options: Record<string, unknown>,
    values: unknown[],
    before: number,
  ): Mismatch | null {
    let depth = before;
    for (const key in options) {
      const value = options[key];
      if (value === undefined) continue;
      if (key === "out" && this.outParameters.length > 0) {
        const failure = this.matchOut(value, values, depth);
        if (failure !== null) return failure;
      } else {
        const parameter = this.byKey.get(key);
        if (parameter === undefined) {
          if (key === "requiresGrad" && this.factory && typeof value === "boolean") continue;
          return { depth, kind: "unknown", argument: key, parameter: null, value };
        }
        if (values[parameter.index] !== undefined)
          return mismatch(depth, "twice", parameter, value);
        const converted = convert(parameter, value);
        if (converted === MISMATCH) return mismatch(depth, "type", parameter, value);
        values[parameter.index] = converted;
      }
      depth += 1;
    }
    return null;
  }

  private matchOut(value: unknown, values: unknown[], depth: number): Mismatch | null {
    const several = this.outParameters.length > 1;
    const tensors = several && Array.isArray(value) ? (value as unknown[]) : [value];
    if (tensors.length !== this.outParameters.length) {
      return { depth, kind: "out", argument: "out", parameter: null, value };
    }
    for (let at = 0; at < tensors.length; at += 1) {
      const parameter = this.outParameters[at]!;
      const converted = convert(parameter, tensors[at]);
      if (converted === MISMATCH) return mismatch(depth, "type", parameter, tensors[at]);
      values[parameter.index] = converted;
    }
    return null;
  }

  /** A mismatch in words. */
  explain({ kind, argument, parameter, value }: Mismatch): string {
    switch (kind) {
      case "type":
        return `argument '${argument}' expected ${expectation(parameter!)}, got ${describe(value)}`;
      case "missing":
        return `argument '${argument}' is missing: expected ${expectation(parameter!)}`;
      case "twice":
        return `argument '${argument}' was given twice`;
      case "many":
        return `takes at most ${this.positional.length} positional arguments, got ${value}`;
      case "out":
        return `argument 'out' expected an array of ${this.outParameters.length} Tensors, got ${describe(value)}`;
      case "unknown": {
        const known = new Set([...this.byKey.values()].map((other) => other.key));
        if (this.outParameters.length > 0) known.add("out");
        return `has no argument '${argument}'; it takes ${[...known].join(", ") || "none"}`;
      }
    }
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
    if (operator.simpleReturn === -1) {
      const tensor = result === null ? null : new Tensor(result as Handle);
      if (options?.requiresGrad === true && this.factory) tensor?.requiresGrad_(true);
      return tensor;
    }
    return operator.wrap(result, (index) => {
      if (index === this.self) return self;
      const parameter = operator.parameters[index]!;
      if (out !== null && isOut(parameter)) {
        const written = options!.out;
        return Array.isArray(written) ? written[this.outParameters.indexOf(parameter)] : written;
      }
      const place = this.positional.findIndex((other) => other.index === index);
      if (place >= 0 && given[place] !== undefined) return given[place];
      return options?.[parameter.key] ?? options?.[parameter.name];
    });
  }
}

function isOut(parameter: Parameter): boolean {
  return parameter.mutated && parameter.kwargOnly;
}

/** How near an overload was to taking the arguments: an array where one belongs is nearer than where none does. */
function closeness({ depth, kind, parameter, value }: Mismatch): number {
  return kind === "type" && parameter!.list && Array.isArray(value) ? depth + 0.5 : depth;
}

function mismatch(
  depth: number,
  kind: Mismatch["kind"],
  parameter: Parameter | null,
  value: unknown,
): Mismatch {
  return { depth, kind, argument: parameter?.key ?? "", parameter, value };
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
    for (const overload of list) {
      const values: unknown[] = new Array(overload.operator.parameters.length);
      if (overload.match(self, given, end, options, values) === null) {
        return overload.run(self, given, options, values);
      }
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
