import type { Tensor } from "../tensor.js";
import { torch } from "../torch.js";

/** Drops gradients, or fills them with zeros in place. */
export function zeroGradients(tensors: Iterable<Tensor>, setToNone: boolean): void {
  using _scope = torch.scope();
  for (const tensor of tensors) {
    const gradient = setToNone ? null : tensor.grad;
    if (gradient === null) {
      tensor.grad = null;
    } else if (gradient.gradFn === null) {
      torch.noGrad(() => gradient.zero_());
    } else {
      // Made with createGraph: cut off from its graph.
      tensor.grad = torch.zerosLike(gradient);
    }
  }
}
