import { torch } from "../../lib/index.js";
import type { Settings } from "../config/settings.js";
import type { TrainingDevice } from "./device.js";

/** Runs a forward pass in the run's precision. */
export type Precision = <T>(forward: () => T) => T;

/** With bfloat16, libtorch's autocast picks the operators that take it; weights stay float32. */
export function precisionOf(dtype: Settings["dtype"], device: TrainingDevice): Precision {
  if (dtype === "float32") return (forward) => forward();
  return (forward) => torch.autocast({ deviceType: device, dtype }, forward);
}
