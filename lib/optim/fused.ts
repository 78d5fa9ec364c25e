import { binding } from "../binding.js";
import { isFloatingPoint } from "../dtype.js";
import { WaveGPTError } from "../errors.js";
import type { Tensor } from "../tensor.js";

const ids = new Map<string, number>();

/** Calls an operator that works on lists of tensors in place; `args` are its schema's, lists as tensors. */
export function callInPlace(name: string, overload: string, ...args: unknown[]): void {
  const key = `${name}.${overload}`;
  let id = ids.get(key);
  if (id === undefined) {
    const found = binding.findOperator(name, overload);
    if (found === null) {
      throw new WaveGPTError(
        "ERR_WAVEGPT_UNKNOWN_OPERATOR",
        `This libtorch has no operator ${key}, which the optimizer needs.`,
        { operator: key },
      );
    }
    id = found.id;
    ids.set(key, id);
  }
  binding.call(
    id,
    ...args.map((arg) =>
      Array.isArray(arg) ? (arg as Tensor[]).map((tensor) => tensor.handle) : arg,
    ),
  );
}

/** A parameter with a gradient, as the fused operators take it. */
export interface Trained {
  readonly parameter: Tensor;
  readonly gradient: Tensor;
}

/** The parameters that have a gradient, one list for each device and dtype: a fused call takes one of each. */
export function trainedByDeviceAndDtype(
  optimizer: string,
  parameters: readonly Tensor[],
): Trained[][] {
  const groups = new Map<string, Trained[]>();
  for (const [index, parameter] of parameters.entries()) {
    const gradient = parameter.grad;
    if (gradient === null) {
      continue;
    }
    const { dtype } = parameter;
    if (!isFloatingPoint(dtype)) {
      throw new WaveGPTError(
        "ERR_WAVEGPT_DTYPE",
        `${optimizer} needs parameters of a floating-point dtype; parameter ${index} is ${dtype}.`,
      );
    }
    const key = `${parameter.device} ${dtype}`;
    const group = groups.get(key);
    if (group === undefined) {
      groups.set(key, [{ parameter, gradient }]);
    } else {
      group.push({ parameter, gradient });
    }
  }
  return [...groups.values()];
}
