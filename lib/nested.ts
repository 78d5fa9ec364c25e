import { argumentError, WaveGPTError } from "./errors.js";
import { isComplexNumber } from "./signature.js";
import type { Complex } from "./types.js";

/** Numbers, bigints, booleans and complex numbers in nested arrays: what `torch.tensor` takes. */
export type NestedNumbers = number | bigint | boolean | Complex | readonly NestedNumbers[];

export type NumberKind = "number" | "bigint" | "boolean" | "complex";

export interface Flattened {
  readonly values: (number | bigint | boolean | Complex)[];
  readonly shape: number[];
  readonly kinds: ReadonlySet<NumberKind>;
}

/** Flattens nested arrays of equal lengths, row-major. Throws `ERR_WAVEGPT_ARGUMENT` where lengths differ. */
export function flatten(operator: string, argument: string, data: unknown): Flattened {
  const shape: number[] = [];
  for (let level: unknown = data; Array.isArray(level); level = level[0]) shape.push(level.length);
  const values: (number | bigint | boolean | Complex)[] = [];
  const kinds = new Set<NumberKind>();
  const visit = (value: unknown, depth: number): void => {
    if (Array.isArray(value)) {
      if (depth >= shape.length || value.length !== shape[depth]) {
        throw new WaveGPTError(
          "ERR_WAVEGPT_ARGUMENT",
          `${operator}: argument '${argument}' expected arrays of equal lengths: ${shape[depth] ?? "a number"} at dimension ${depth}, got ${value.length}`,
          { operator, argument },
        );
      }
      for (const element of value) visit(element, depth + 1);
      return;
    }
    if (depth !== shape.length) {
      throw argumentError(operator, argument, `an array at dimension ${depth}`, value);
    }
    if (typeof value === "number" || typeof value === "bigint" || typeof value === "boolean") {
      kinds.add(typeof value as NumberKind);
      values.push(value);
    } else if (typeof value === "object" && value !== null && isComplexNumber(value)) {
      kinds.add("complex");
      values.push(value as Complex);
    } else {
      throw argumentError(operator, argument, "numbers, booleans or nested arrays of them", value);
    }
  };
  visit(data, 0);
  return { values, shape, kinds };
}
