import type { NativeBinding } from "../../lib/native.js";

/** One native function or operator: how often it was called, and the milliseconds inside. */
export interface NativeUse {
  readonly name: string;
  calls: number;
  milliseconds: number;
}

type Native = (...values: unknown[]) => unknown;

/**
 * Puts a clock around every function of the binding, and around each operator. To be called before any other module of
 * lib/ is imported, since those keep the functions they use.
 */
export function timeNativeCalls(binding: NativeBinding): Map<string, NativeUse> {
  const uses = new Map<string, NativeUse>();
  const functions = binding as unknown as Record<string, Native>;
  const operators = new Map<number, string>();
  // The call frame begins with the operator's number.
  const header = new Int32Array(binding.frame(), 0, 1);
  const timed = (name: string, run: () => unknown): unknown => {
    let use = uses.get(name);
    if (use === undefined) {
      use = { name, calls: 0, milliseconds: 0 };
      uses.set(name, use);
    }
    const start = performance.now();
    try {
      return run();
    } finally {
      use.milliseconds += performance.now() - start;
      use.calls += 1;
    }
  };
  for (const [name, native] of Object.entries(functions)) {
    if (name === "callFrame") {
      functions.callFrame = () => timed(operators.get(header[0]!) ?? "?", native as () => unknown);
    } else if (name === "call") {
      functions[name] = (id, ...values) =>
        timed(operators.get(id as number) ?? "?", () => native(id, ...values));
    } else if (name === "findOperator") {
      functions.findOperator = (...values) => {
        const schema = native(...values) as ReturnType<NativeBinding["findOperator"]>;
        if (schema !== null) operators.set(schema.id, schema.name);
        return schema;
      };
    } else {
      functions[name] = (...values) => timed(`binding.${name}`, () => native(...values));
    }
  }
  return uses;
}
