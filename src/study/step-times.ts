import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { quantile } from "./statistics.js";
import type { StepTimes } from "./timing.js";

/** In a study's folder: what its arms' steps took. */
export const TIMING_FILE = "timing.json";

/** The milliseconds of a training step, over the rounds in which all arms were timed. */
export interface StepTime {
  readonly median: number;
  readonly lowerQuartile: number;
  readonly upperQuartile: number;
  readonly tokensPerSecond: number;
  readonly rounds: number;
}

/** Null where an arm was not timed. */
export function stepTime(times: StepTimes | undefined): StepTime | null {
  if (times === undefined || times.milliseconds.length === 0) return null;
  const sorted = [...times.milliseconds].sort((a, b) => a - b);
  const median = quantile(sorted, 0.5);
  return {
    median,
    lowerQuartile: quantile(sorted, 0.25),
    upperQuartile: quantile(sorted, 0.75),
    tokensPerSecond: (1000 * times.tokensPerStep) / median,
    rounds: sorted.length,
  };
}

/** The timing that a study's folder holds, or none. */
export function readTiming(out: string): readonly StepTimes[] {
  const path = join(out, TIMING_FILE);
  return existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as StepTimes[]) : [];
}
