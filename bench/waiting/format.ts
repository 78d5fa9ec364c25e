import { formatSpread, spreadOf } from "../pairs/spread.js";
import { table } from "../table.js";
import { SPIN_COUNTS, type WaitingReport } from "./bench.js";

export function waitingTable({ results }: WaitingReport): string {
  return table(
    ["training", "beside", ...SPIN_COUNTS.map((count) => `GOMP_SPINCOUNT=${count}`)],
    results.map(({ name, company, milliseconds }) => [
      name,
      company,
      ...milliseconds.map((rounds) => formatSpread(spreadOf(rounds), 1)),
    ]),
  );
}

export function formatWaiting(report: WaitingReport): string {
  const { threads, rounds } = report;
  return [
    "## How OpenMP's threads wait for work\n",
    `Our own side, ${threads} threads, ${rounds} rounds in turns; median (quartiles) in ms a step, of two trainings at once the slower one.\n`,
    waitingTable(report),
  ].join("\n");
}
