import type { TestContext } from "vitest";
import { binding } from "../../lib/binding.js";
import { onlyOn } from "../device.js";

/** Skips the running test unless the device under test is a CUDA one and the library of its kernels is in use. */
export function needsCudaKernels(context: TestContext): void {
  onlyOn(context, ["cuda"], "the kernels for CUDA need a device");
  const reason = binding.cudaKernels();
  if (reason !== null) context.skip(`cuda: ${reason}`);
}
