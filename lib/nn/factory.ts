import type { DType } from "../dtype.js";

/** Where a module's parameters are made, and of which type. */
export interface FactoryOptions {
  /** PyTorch's device string; the CPU by default. */
  device?: string;
  /** The default dtype (float32) by default. */
  dtype?: DType;
}

/** Picks the factory options out of a module's own options. */
export function factoryOptions({ device, dtype }: FactoryOptions): FactoryOptions {
  return { ...(device !== undefined && { device }), ...(dtype !== undefined && { dtype }) };
}
