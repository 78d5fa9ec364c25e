import { formatSpread, spreadOf } from "../pairs/spread.js";
import { table } from "../table.js";
import type { DimensionResult, ScalingReport } from "./bench.js";

/** How many times faster two threads should be than one. */
const FASTER = 1.8;
/** How far a step's time may be from a line, as a share. */
const APART = 0.1;

const apart = ({ sizes }: DimensionResult) =>
  Math.max(...sizes.map(({ overLine }) => Math.abs(overLine - 1)));

export function threadsTable({ results }: ScalingReport): string | null {
  const rows = results.flatMap(({ name, threads }) => {
    if (threads === null) return [];
    const { one, all, apart, faster, machine, threads: count } = threads;
    const reached = faster.median >= FASTER ? "reached" : "not reached";
    return [
      [
        name,
        String(count),
        formatSpread(spreadOf(one), 1),
        formatSpread(spreadOf(all), 1),
        formatSpread(spreadOf(apart), 1),
        formatSpread(faster, 2),
        formatSpread(machine, 2),
        count === 2 ? `${reached} (${FASTER})` : "",
      ],
    ];
  });
  if (rows.length === 0) return null;
  return table(
    [
      "training",
      "threads",
      "with 1",
      "with all",
      "1 each, at once",
      "times faster",
      "machine",
      "goal",
    ],
    rows,
  );
}

export function sizesTable({ results }: ScalingReport): string {
  const rows = results.flatMap(({ name, dimensions }) =>
    dimensions.flatMap((dimension) =>
      dimension.sizes.map(({ size, milliseconds, overLine }, at) => {
        const first = at === 0;
        const { fixed, each } = dimension.line;
        const reached = apart(dimension) <= APART ? "reached" : "not reached";
        return [
          first ? `${name}, ${dimension.name}` : "",
          String(size),
          formatSpread(spreadOf(milliseconds), 1),
          (fixed + each * size).toFixed(1),
          overLine.toFixed(3),
          first ? `${reached} (within ${100 * APART} %)` : "",
        ];
      }),
    ),
  );
  return table(
    ["training, what grows", "size", "ms/step", "line", "measured / line", "goal"],
    rows,
  );
}

export function formatScaling(report: ScalingReport): string {
  const { threads, results } = report;
  const byThreads = threadsTable(report);
  return [
    `## How a step's time grows\n`,
    `Our own side alone, ${threads} threads, ${results[0]!.rounds} rounds in turns; median (quartiles) in ms.\n`,
    ...(byThreads === null
      ? []
      : [
          byThreads,
          "",
          `"1 each, at once": ${threads} processes train side by side with one thread each and share nothing but the machine; "machine" is how many times the work of one they did in its time, which no program can do better.\n`,
        ]),
    "The line is the one with the least relative distances (time = fixed + each x size):\n",
    sizesTable(report),
  ].join("\n");
}
