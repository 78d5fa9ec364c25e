import { inferDtype } from "./creation.js";
import { operatorFunction } from "./dispatch.js";
import type { NumberKind } from "./nested.js";
import { isComplexNumber } from "./signature.js";
import { Tensor } from "./tensor.js";
import type { Int, Ints, Scalar, TensorOptions } from "./types.js";

// Functions that PyTorch writes in Python around its operators, or whose numbers JavaScript cannot tell apart.

const fullOperator = operatorFunction("aten::full", "->out");
const einsumOperator = operatorFunction("aten::einsum", "-");
const uniqueOperator = operatorFunction("aten::_unique2", "-");
const uniqueAlong = operatorFunction("aten::unique_dim", "-");
const uniqueConsecutiveOperator = operatorFunction("aten::unique_consecutive", "-");

/**
 * A tensor of one value. Without `dtype` a number gives `torch.getDefaultDtype()` (as in `torch.tensor`), a bigint int64,
 * a boolean bool.
 */
export function full(
  size: Ints,
  fillValue: Scalar,
  options: TensorOptions & { out?: Tensor | undefined } = {},
): Tensor {
  const kind =
    typeof fillValue === "object" && fillValue !== null && isComplexNumber(fillValue)
      ? "complex"
      : (typeof fillValue as NumberKind);
  const dtype =
    options.dtype ?? (options.out === undefined ? inferDtype(new Set([kind])) : undefined);
  return fullOperator(size, fillValue, { ...options, dtype }) as Tensor;
}

/** Sums products by Einstein's convention: `torch.einsum("bij,bjk->bik", a, b)`. */
export function einsum(equation: string, ...operands: Tensor[]): Tensor;
export function einsum(
  equation: string,
  operands: readonly Tensor[],
  options?: { path?: Ints | null },
): Tensor;
export function einsum(equation: string, ...rest: unknown[]): Tensor {
  if (rest[0] instanceof Tensor) return einsumOperator(equation, rest) as Tensor;
  return einsumOperator(equation, ...rest) as Tensor;
}

export interface UniqueOptions {
  /** Default true. */
  sorted?: boolean | undefined;
  /** Compares slices along a dimension; all elements where absent. */
  dim?: Int | undefined;
  returnInverse?: boolean | undefined;
  returnCounts?: boolean | undefined;
}

/** The distinct elements, where each element went and how often it came; null for what was not asked for. */
export type UniqueResult = [output: Tensor, inverse: Tensor | null, counts: Tensor | null] & {
  readonly output: Tensor;
  readonly inverse: Tensor | null;
  readonly counts: Tensor | null;
};

type Asking = { returnInverse: true } | { returnCounts: true };

function selectResults(results: Tensor[], options: UniqueOptions): Tensor | UniqueResult {
  const [output, inverse, counts] = results as [Tensor, Tensor, Tensor];
  if (!options.returnInverse) inverse.dispose();
  if (!options.returnCounts) counts.dispose();
  if (!options.returnInverse && !options.returnCounts) return output;
  const asked = {
    output,
    inverse: options.returnInverse ? inverse : null,
    counts: options.returnCounts ? counts : null,
  };
  return Object.assign([output, asked.inverse, asked.counts], asked) as UniqueResult;
}

/** The distinct elements, or slices along `dim`. */
export function unique(input: Tensor, options: UniqueOptions & Asking): UniqueResult;
export function unique(input: Tensor, options?: UniqueOptions): Tensor;
export function unique(input: Tensor, options: UniqueOptions = {}): Tensor | UniqueResult {
  const { sorted = true, dim, returnInverse = false, returnCounts = false } = options;
  const flags = { sorted, returnInverse, returnCounts };
  const results = dim === undefined ? uniqueOperator(input, flags) : uniqueAlong(input, dim, flags);
  return selectResults(results as Tensor[], options);
}

/** As `unique`, but only neighbours are compared. */
export function uniqueConsecutive(
  input: Tensor,
  options: Omit<UniqueOptions, "sorted"> & Asking,
): UniqueResult;
export function uniqueConsecutive(input: Tensor, options?: Omit<UniqueOptions, "sorted">): Tensor;
export function uniqueConsecutive(
  input: Tensor,
  options: Omit<UniqueOptions, "sorted"> = {},
): Tensor | UniqueResult {
  const { dim, returnInverse = false, returnCounts = false } = options;
  const results = uniqueConsecutiveOperator(input, { returnInverse, returnCounts, dim });
  return selectResults(results as Tensor[], options);
}

/** `Tensor.nonzero` as a function. */
export function nonzero(input: Tensor, options: { asTuple: true }): Tensor[];
export function nonzero(input: Tensor, options?: { asTuple?: false | undefined }): Tensor;
export function nonzero(
  input: Tensor,
  options?: { asTuple?: boolean | undefined },
): Tensor | Tensor[] {
  return options?.asTuple ? input.nonzero({ asTuple: true }) : input.nonzero();
}

/** The number of elements. */
export function numel(input: Tensor): number {
  return input.numel();
}

/** Whether a value is a tensor. */
export function isTensor(value: unknown): value is Tensor {
  return value instanceof Tensor;
}
