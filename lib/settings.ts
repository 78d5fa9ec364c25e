import { binding } from "./binding.js";
import { type DType, dtypeCode, dtypeName, isFloatingPoint } from "./dtype.js";
import { argumentError } from "./errors.js";
import type { BuildInformation, MemoryStatistics } from "./native.js";

/** The type of new floating point tensors: `"float32"` unless set. */
export function getDefaultDtype(): DType {
  return dtypeName(binding.defaultDtype());
}

export function setDefaultDtype(dtype: DType): void {
  if (!isFloatingPoint(dtype)) {
    throw argumentError("torch.setDefaultDtype", "dtype", "a floating point dtype", dtype);
  }
  binding.setDefaultDtype(dtypeCode(dtype));
}

/** Whether operators must give the same result on every run; those that cannot throw, or warn with `warnOnly`. */
export function useDeterministicAlgorithms(
  enabled: boolean,
  options: { warnOnly?: boolean | undefined } = {},
): void {
  binding.setDeterministicAlgorithms(enabled, options.warnOnly ?? false);
}

export function areDeterministicAlgorithmsEnabled(): boolean {
  return binding.deterministicAlgorithms();
}

/** Live tensor handles of this thread and the bytes behind them. */
export function memory(): MemoryStatistics {
  return binding.memory();
}

/** The version of libtorch, how it was built and what it runs on. */
export function buildInformation(): BuildInformation {
  return binding.buildInformation();
}
