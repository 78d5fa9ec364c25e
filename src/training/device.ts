import { torch } from "../../lib/index.js";
import type { Settings } from "../config/settings.js";
import { UsageError } from "../config/usage-error.js";

export type TrainingDevice = "cpu" | "cuda" | "mps";

/**
 * The device to compute on; `auto` takes a GPU where libtorch can use one.
 * @throws UsageError where the device asked for is not there.
 */
export function chooseDevice(wanted: Settings["device"]): TrainingDevice {
  const available: Record<TrainingDevice, () => boolean> = {
    cuda: () => torch.cuda.isAvailable(),
    mps: () => torch.mps.isAvailable(),
    cpu: () => true,
  };
  if (wanted === "auto") return available.cuda() ? "cuda" : available.mps() ? "mps" : "cpu";
  if (!available[wanted]()) {
    throw new UsageError(
      `--device ${wanted}: libtorch finds no such device here. \`wavegpt doctor\` says what it found; --device auto takes what there is.`,
    );
  }
  return wanted;
}
