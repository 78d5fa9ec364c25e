import { Tensor } from "../tensor.js";
import { torch } from "../torch.js";

/** Drops gradients, or fills them with zeros in place. */
export function zeroGradients(tensors: Iterable<Tensor>, setToNone: boolean): void {
  if (setToNone) {
    Tensor.dropGradients(Array.isArray(tensors) ? tensors : [...tensors]);
    return;
  }
  using _scope = torch.scope();
  for (const tensor of tensors) {
    const gradient = tensor.grad;
    if (gradient === null) {
      continue;
    }
    if (gradient.gradFn === null) {
      torch.noGrad(() => gradient.zero_());
    } else {
      // Made with createGraph: cut off from its graph.
      tensor.grad = torch.zerosLike(gradient);
    }
  }
}
