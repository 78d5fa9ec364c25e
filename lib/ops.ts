import { binding } from "./binding.js";
import { Overloads } from "./dispatch.js";
import { WaveGPTError } from "./errors.js";
import type { AtenOperators } from "./generated/aten.js";
import type { OperatorSchema } from "./native.js";
import { requireOperator } from "./operator.js";

/** One overload of an operator, called by its schema: `torch.ops.aten.add.Tensor(a, b, { alpha: 2 })`. */
export interface OperatorOverload<Result = unknown> {
  (...values: unknown[]): Result;
  readonly schema: OperatorSchema;
}

/** An operator: called itself, it picks the overload that takes the arguments. `Results` says what each returns. */
export type OperatorPacket<Results extends object = Record<never, unknown>> = {
  (...values: unknown[]): Results[keyof Results];
  /** The names of its overloads, `"default"` for the nameless one. */
  overloads(): string[];
} & { readonly [Name in keyof Results]: OperatorOverload<Results[Name]> };

export interface Operators {
  readonly aten: AtenOperators;
  /** Every operator of the loaded libtorch: `["aten::add.Tensor", ...]`, sorted. */
  names(): string[];
  /** The schema of an operator, e.g. `schema("aten::add.Tensor")`; null where there is none. */
  schema(name: string): OperatorSchema | null;
  /** Any operator of any namespace by its full name, e.g. `find("wavegpt::fused.default")`. Throws where there is none. */
  find(name: string): OperatorOverload;
}

let known: Map<string, string[]> | null = null;

function overloadsOf(operator: string): string[] | null {
  if (known === null) {
    known = new Map();
    for (const full of binding.operatorNames()) {
      const [name, overload] = splitName(full);
      const list = known.get(name);
      if (list === undefined) known.set(name, [overload]);
      else list.push(overload);
    }
  }
  return known.get(operator) ?? null;
}

function splitName(full: string): [name: string, overload: string] {
  const dot = full.indexOf(".");
  return dot < 0 ? [full, ""] : [full.slice(0, dot), full.slice(dot + 1)];
}

function callable(operator: string, specification: string) {
  const overloads = new Overloads(operator, specification, false);
  return (...values: unknown[]) => overloads.call(null, values, values.length);
}

/** An object whose properties are made when first read; promises and symbols ask for none. */
function lazily<T extends object>(target: T, make: (name: string) => unknown): T {
  return new Proxy(target, {
    get(object, name) {
      const own = Reflect.get(object, name) as unknown;
      if (own !== undefined || typeof name === "symbol" || name === "then") return own;
      const made = make(name);
      Object.defineProperty(object, name, { value: made, enumerable: true, configurable: true });
      return made;
    },
  });
}

function packet(operator: string): OperatorPacket {
  const names = overloadsOf(operator);
  if (names === null) {
    throw new WaveGPTError(
      "ERR_WAVEGPT_UNKNOWN_OPERATOR",
      `${operator}: libtorch ${binding.buildInformation().libtorch} has no such operator`,
      { operator },
    );
  }
  const sorted = [...names].sort();
  const call = callable(operator, sorted.map((name) => name || "-").join(" "));
  Object.defineProperty(call, "overloads", {
    value: () => sorted.map((name) => name || "default"),
  });
  // A function's own name and length must not hide an overload of that name.
  for (const name of ["name", "length"]) Reflect.deleteProperty(call, name);
  return lazily(call as unknown as OperatorPacket, (name) => {
    return find(`${operator}.${name}`);
  });
}

function find(full: string): OperatorOverload {
  const [name, overload] = splitName(full);
  const plain = overload === "default" ? "" : overload;
  const schema = requireOperator(name, plain);
  return Object.assign(callable(name, plain || "-"), { schema });
}

/** Every operator of libtorch by namespace, name and overload, as Python's `torch.ops`. */
export const ops: Operators = lazily(
  {
    names: () => binding.operatorNames().sort(),
    schema: (full: string) => binding.findOperator(...splitName(full)),
    find,
  } as Operators,
  (namespace) => lazily({}, (name) => packet(`${namespace}::${name}`)),
);
