import { type BackwardOptions, backwardFrom } from "./backward.js";
import { binding } from "./binding.js";
import { argumentError } from "./errors.js";
import type { Handle } from "./native.js";
import { Tensor } from "./tensor.js";

export interface GradOptions {
  /** The gradients of the outputs; may be absent for outputs of one element. */
  gradOutputs?: Tensor | readonly (Tensor | null)[] | undefined;
  /** Keeps the graph for another backward pass. Default: `createGraph`. */
  retainGraph?: boolean | undefined;
  /** Records the backward pass itself, for gradients of gradients. Default false. */
  createGraph?: boolean | undefined;
  /** Gives null for an input that the outputs do not depend on, where it would throw. Default false. */
  allowUnused?: boolean | undefined;
}

function tensorsOf(operator: string, argument: string, value: Tensor | readonly Tensor[]) {
  const tensors = value instanceof Tensor ? [value] : value;
  if (!Array.isArray(tensors) || tensors.some((tensor) => !(tensor instanceof Tensor))) {
    throw argumentError(operator, argument, "a Tensor or an array of Tensors", value);
  }
  return tensors as readonly Tensor[];
}

/**
 * The gradients of `outputs` with respect to `inputs`; nothing is accumulated into `grad`. The results belong to the
 * innermost scope, as an operator's do.
 */
export function grad(
  outputs: Tensor | readonly Tensor[],
  inputs: Tensor | readonly Tensor[],
  options: GradOptions & { allowUnused: true },
): (Tensor | null)[];
export function grad(
  outputs: Tensor | readonly Tensor[],
  inputs: Tensor | readonly Tensor[],
  options?: GradOptions,
): Tensor[];
export function grad(
  outputs: Tensor | readonly Tensor[],
  inputs: Tensor | readonly Tensor[],
  options: GradOptions = {},
): (Tensor | null)[] {
  const operator = "torch.autograd.grad";
  const createGraph = options.createGraph ?? false;
  const given = options.gradOutputs;
  const gradients = given === undefined ? null : given instanceof Tensor ? [given] : given;
  const handles = binding.autogradGrad(
    tensorsOf(operator, "outputs", outputs).map((tensor) => tensor.handle),
    tensorsOf(operator, "inputs", inputs).map((tensor) => tensor.handle),
    gradients?.map((tensor) => tensor?.handle ?? null) ?? null,
    options.retainGraph ?? createGraph,
    createGraph,
    options.allowUnused ?? false,
  );
  return handles.map((handle: Handle | null) => (handle === null ? null : new Tensor(handle)));
}

/** Accumulates the gradients of several tensors into the `grad` of the graph's leaves. */
export function backward(
  tensors: Tensor | readonly Tensor[],
  gradTensors?: Tensor | readonly (Tensor | null)[] | null,
  options?: BackwardOptions,
): void {
  const gradients =
    gradTensors == null ? null : gradTensors instanceof Tensor ? [gradTensors] : gradTensors;
  backwardFrom(tensorsOf("torch.autograd.backward", "tensors", tensors), gradients, options);
}
