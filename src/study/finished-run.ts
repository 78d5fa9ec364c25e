import { join } from "node:path";
import { holdsRun, runFolder } from "../run/folder.js";
import { type MetricRecord, readMetrics } from "../run/metrics.js";

/** The folder of a run. */
export function runPath(out: string, arm: string, seed: number): string {
  return join(out, `${arm}-seed-${seed}`);
}

/** The last evaluation of a run that has done all its steps; null for one that has not. */
export function finalRecord(folder: string, steps: number): MetricRecord | null {
  if (!holdsRun(folder)) return null;
  const last = readMetrics(runFolder(folder).metrics).findLast(({ split }) => split === "val");
  return last !== undefined && last.step >= steps ? last : null;
}
