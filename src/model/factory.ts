import type { DType } from "../../lib/index.js";

/** Where and in which precision a model's parameters are made. */
export interface FactoryOptions {
  /** Default `"cpu"`. */
  readonly device?: string;
  /** Default the default dtype, float32. */
  readonly dtype?: DType;
}
