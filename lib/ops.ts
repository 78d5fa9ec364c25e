import { binding } from "./binding.js";
import { Overloads } from "./dispatch.js";
import { WaveGPTError } from "./errors.js";
import type { OperatorSchema } from "./native.js";
import { requireOperator } from "./operator.js";

/** One overload of an operator, called by its schema: `torch.ops.aten.add.Tensor(a, b, { alpha: 2 })`. */
export interface OperatorOverload {
  (...values: unknown[]): unknown;
  readonly schema: OperatorSchema;
}

/** An operator: called itself, it picks the overload that takes the arguments. */
export type OperatorPacket = ((...values: unknown[]) => unknown) & {
  /** The names of its overloads, `"default"` for the nameless one. */
  overloads(): string[];
} & { readonly [overload: string]: OperatorOverload };

export interface OperatorNamespace {
  readonly [operator: string]: OperatorPacket;
}

export interface Operators {
  readonly aten: OperatorNamespace;
  readonly wavegpt: OperatorNamespace;
  /** Every operator of the loaded libtorch: `["aten::add.Tensor", ...]`, sorted. */
  names(): string[];
  /** The schema of an operator, e.g. `schema("aten::add.Tensor")`; null where there is none. */
  schema(name: string): OperatorSchema | null;
  readonly [namespace: string]: OperatorNamespace | unknown;
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
    const overload = name === "default" ? "" : name;
    const schema = requireOperator(operator, overload);
    return Object.assign(callable(operator, overload || "-"), { schema });
  });
}

/** Every operator of libtorch by namespace, name and overload, as Python's `torch.ops`. */
export const ops: Operators = lazily(
  {
    names: () => binding.operatorNames().sort(),
    schema: (full: string) => binding.findOperator(...splitName(full)),
  } as Operators,
  (namespace) => lazily({}, (name) => packet(`${namespace}::${name}`)),
);
