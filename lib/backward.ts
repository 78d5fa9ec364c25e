import { binding } from "./binding.js";
import type { Tensor } from "./tensor.js";

export interface BackwardOptions {
  /** Keeps the graph for another backward pass. Default: `createGraph`. */
  retainGraph?: boolean | undefined;
  /** Records the backward pass itself, for gradients of gradients. Default false. */
  createGraph?: boolean | undefined;
  /** The leaves to accumulate into; all leaves where absent. */
  inputs?: readonly Tensor[] | undefined;
}

const handleOf = (tensor: Tensor) => tensor.handle;

/** Backward from several tensors at once; `gradients` stand beside `outputs`. */
export function backwardFrom(
  outputs: readonly Tensor[],
  gradients: readonly (Tensor | null)[] | null,
  options: BackwardOptions = {},
): void {
  const createGraph = options.createGraph ?? false;
  binding.backward(
    outputs.map(handleOf),
    gradients === null ? null : gradients.map((tensor) => (tensor === null ? null : tensor.handle)),
    options.retainGraph ?? createGraph,
    createGraph,
    options.inputs === undefined ? null : options.inputs.map(handleOf),
  );
}
