import { binding } from "../../lib/binding.js";

/** A function that calls an `aten` operator on handles, by its schema. */
export function aten(name: string, overload = ""): (...args: unknown[]) => number {
  const operator = binding.findOperator(`aten::${name}`, overload);
  if (!operator) throw new Error(`aten::${name}.${overload} was not found`);
  return (...args) => binding.call(operator.id, ...args) as number;
}

/** The properties of the error that `action` throws; fails where it throws none. */
export function errorOf(action: () => unknown): {
  code?: string;
  operator?: string;
  argument?: string;
  message: string;
} {
  try {
    action();
  } catch (error) {
    return error as Error;
  }
  throw new Error("expected an error, none was thrown");
}
