import { binding } from "../binding.js";
import type { Handle } from "../native.js";
import type { Tensor } from "../tensor.js";

let detach: number | undefined;

/** A new handle to the tensor's memory, outside autograd's graph and outside every scope. */
export function keptAlias(tensor: Tensor): Handle {
  detach ??= binding.findOperator("aten::detach", "")?.id;
  const alias = binding.call(detach as number, tensor.handle) as Handle;
  binding.keep(alias);
  return alias;
}
