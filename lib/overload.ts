import { describe } from "./errors.js";
import type { Handle } from "./native.js";
import { convert, expectation, MISMATCH, type Operator, type Parameter } from "./signature.js";
import { Tensor } from "./tensor.js";
import { WrittenCall } from "./written-call.js";

/** Why an overload does not take the arguments; `depth` is how many it took. Put in words only if none takes them. */
export interface Mismatch {
  readonly depth: number;
  readonly kind: "type" | "unknown" | "missing" | "twice" | "many" | "out";
  readonly argument: string;
  readonly parameter: Parameter | null;
  readonly value: unknown;
}

/** One overload, with its `out` form. */
export class Overload {
  readonly operator: Operator;
  private readonly out: Operator | null;
  private readonly outParameters: readonly Parameter[];
  /** The schema place of the tensor that a method is called on, or -1. */
  private readonly self: number;
  readonly positional: readonly Parameter[];
  private readonly byKey = new Map<string, Parameter>();
  private readonly required: readonly Parameter[];
  /** Sizes may stand one by one. */
  readonly spread: boolean;
  private readonly factory: boolean;
  readonly written: WrittenCall;
  private spare: unknown[] | null = null;

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
    this.written = new WrittenCall(
      operator,
      out,
      this.outParameters,
      this.self,
      this.positional,
      this.byKey,
      this.required,
      this.spread,
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

  /**
   * An array for values in schema order, of the `out` form too, all undefined: the same one from call to call, since V8
   * takes longer to make an array for handles than to fill it. It is taken while in use, as a getter of an option may
   * call the operator.
   */
  takeValues(): unknown[] {
    const { spare } = this;
    this.spare = null;
    if (spare !== null) return spare;
    const length = (this.out ?? this.operator).parameters.length;
    return new Array<unknown>(length).fill(undefined);
  }

  giveValuesBack(values: unknown[]): void {
    for (let at = 0; at < values.length; at += 1) values[at] = undefined;
    this.spare = values;
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
      const each: unknown[] = new Array(count);
      for (let at = 0; at < count; at += 1) each[at] = given[at];
      const sizes = convert(only, each);
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
    const { required } = this;
    for (let at = 0; at < required.length; at += 1) {
      if (values[required[at]!.index] === undefined) {
        return mismatch(depth, "missing", required[at]!, null);
      }
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
    let count = operator.parameters.length;
    while (count > 0 && values[count - 1] === undefined) count -= 1;
    const result = operator.call(values, count);
    this.giveValuesBack(values);
    if (operator.simpleReturn === -1) {
      const tensor = result === null ? null : new Tensor(result as Handle);
      if (options?.requiresGrad === true && this.factory) tensor?.requiresGrad_(true);
      return tensor;
    }
    if (operator.simpleReturn >= 0) {
      if (operator.simpleReturn === this.self) return self;
      if (out !== null) return options!.out;
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
export function closeness({ depth, kind, parameter, value }: Mismatch): number {
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
