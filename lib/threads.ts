import { binding } from "./binding.js";
import { argumentError } from "./errors.js";

function checkCount(operator: string, count: number): void {
  if (!Number.isInteger(count) || count < 1) {
    throw argumentError(operator, "count", "an integer above 0", count);
  }
}

/** Threads that one operator may use. */
export function getNumThreads(): number {
  return binding.getNumThreads();
}

export function setNumThreads(count: number): void {
  checkCount("torch.setNumThreads", count);
  binding.setNumThreads(count);
}

/** Threads that run operators beside each other. */
export function getNumInteropThreads(): number {
  return binding.getNumInteropThreads();
}

/** Only before the first parallel work, once. */
export function setNumInteropThreads(count: number): void {
  checkCount("torch.setNumInteropThreads", count);
  binding.setNumInteropThreads(count);
}
