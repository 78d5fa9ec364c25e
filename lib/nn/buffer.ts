import { detachedHandle, Tensor } from "../tensor.js";
import { torch } from "../torch.js";

/**
 * A tensor that belongs to a module but is not learnt (a mask, a running mean). It moves with `Module.to` and,
 * unless `persistent` is false, is part of the state dict. It shares memory with the tensor it is made from and
 * belongs to no scope. Change its values in place (`copy_`).
 */
export class Buffer extends Tensor {
  /** Whether it is part of the state dict. */
  readonly persistent: boolean;

  constructor(data: Tensor, { persistent = true }: { persistent?: boolean } = {}) {
    super(detachedHandle(data));
    torch.keep(this);
    this.persistent = persistent;
  }
}
