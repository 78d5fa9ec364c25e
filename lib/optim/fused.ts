import { isFloatingPoint } from "../dtype.js";
import { WaveGPTError } from "../errors.js";
import { nativeOperator } from "../operator.js";
import type { Tensor } from "../tensor.js";

/** An operator that works on lists of tensors in place, called with its schema's arguments. */
export function inPlaceOperator(name: string, overload = ""): (...args: unknown[]) => void {
  const call = nativeOperator(name, overload);
  return (...args) => {
    call(
      ...args.map((arg) =>
        Array.isArray(arg) ? (arg as Tensor[]).map((tensor) => tensor.handle) : arg,
      ),
    );
  };
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
