import { readFileSync, writeFileSync } from "node:fs";

/** Lets the peak begin anew, where the system can (Linux); elsewhere it stays that of the process's whole life. */
export function resetPeakMemory(): void {
  try {
    writeFileSync("/proc/self/clear_refs", "5");
  } catch {
    // No such file, or not ours to write: see above.
  }
}

/** The most memory that this process held in RAM, in MiB. */
export function peakMemory(): number {
  try {
    const kibibytes = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
    if (kibibytes !== undefined) return Number(kibibytes) / 1024;
  } catch {
    // Not Linux.
  }
  return process.resourceUsage().maxRSS / 1024;
}
