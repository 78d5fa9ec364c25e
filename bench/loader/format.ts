import { formatSpread } from "../pairs/spread.js";
import { table } from "../table.js";
import type { LoaderReport } from "./bench.js";

/** How much of a step may be spent waiting for its batch. */
const GOAL = 0.01;

export function loaderTable({ results }: LoaderReport): string {
  return table(
    ["training", "batch", "ms a step", "ms waited", "share", "goal"],
    results.map(({ name, batchSize, step, wait, share }) => [
      name,
      String(batchSize),
      formatSpread(step, 2),
      formatSpread(wait, 3),
      `${(100 * share).toFixed(2)} %`,
      `${share < GOAL ? "reached" : "not reached"} (1 %)`,
    ]),
  );
}

/** The first steps on files of which nothing is in the system's cache. */
export function coldTable({ cold }: LoaderReport): string {
  return table(
    ["training", "batch", "batches are read", "ms a step", "ms waited", "share"],
    cold.map(({ name, batchSize, readsAhead, step, wait, share }) => [
      name,
      String(batchSize),
      readsAhead ? "ahead" : "when needed",
      formatSpread(step, 2),
      formatSpread(wait, 3),
      `${(100 * share).toFixed(2)} %`,
    ]),
  );
}

export function formatLoader(report: LoaderReport): string {
  const { tokens, threads } = report;
  const warm = `## Waiting for data\n\nA corpus of ${(tokens / 1e6).toFixed(0)} M tokens in shards, mapped into memory; ${threads} threads. Medians and quartiles over steps.\n\n${loaderTable(report)}`;
  if (report.cold.length === 0) return warm;
  return `${warm}\n\nThe first steps after the system was told to drop the shards from its cache, but for the very first batch:\n\n${coldTable(report)}`;
}
