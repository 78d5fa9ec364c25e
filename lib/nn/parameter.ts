import { detachedHandle, Tensor } from "../tensor.js";
import { torch } from "../torch.js";
import type { FactoryOptions } from "./factory.js";

/**
 * A tensor that a module learns: as a field of a {@link Module} it is found by `parameters()` and named by its
 * field in state dicts. It shares memory with the tensor it is made from, and belongs to no scope: it lives until
 * it, or its module, is disposed.
 */
export class Parameter extends Tensor {
  /** @param data - shared, not copied. `requiresGrad` defaults to true and needs a floating-point or complex dtype. */
  constructor(data: Tensor, { requiresGrad = true }: { requiresGrad?: boolean } = {}) {
    super(detachedHandle(data));
    torch.keep(this);
    if (requiresGrad) {
      this.requiresGrad_(true);
    }
  }
}

/** A parameter of unset values, leaving nothing in the caller's scope. */
export function emptyParameter(shape: readonly number[], options: FactoryOptions): Parameter {
  using _scope = torch.scope();
  return new Parameter(torch.empty([...shape], options));
}
