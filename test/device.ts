import { describe, type SuiteFactory, type TestContext } from "vitest";

/** The device under test: `WAVEGPT_TEST_DEVICE`, by default `"cpu"`. Tests make their tensors there. */
export const device: string = process.env.WAVEGPT_TEST_DEVICE ?? "cpu";

/** Its kind without an index: `"cpu"`, `"cuda"` or `"mps"`. */
export const deviceType: string = device.split(":")[0] ?? device;

if (!["cpu", "cuda", "mps"].includes(deviceType)) {
  throw new Error(`WAVEGPT_TEST_DEVICE: expected cpu, cuda, cuda:N or mps, got ${device}`);
}

/** A suite whose name says the device, so that a report of a GPU run is told from a CPU one. */
export function describeOnDevice(name: string, factory: SuiteFactory): void {
  describe(`${name} [${device}]`, factory);
}

/**
 * Skips the running test unless the device under test is of one of `types`, with a reason in the report.
 * Only for what does not exist elsewhere (a dtype, a kernel), never for what fails there.
 */
export function onlyOn(context: TestContext, types: readonly string[], reason: string): void {
  if (!types.includes(deviceType)) context.skip(`${deviceType}: ${reason}`);
}

/** Absolute tolerance for float32 arithmetic on the device: its sums run in another order than the CPU's. */
export const float32Tolerance: number = deviceType === "cpu" ? 1e-5 : 1e-4;
