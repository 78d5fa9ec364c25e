import { formatSpread, spreadOf } from "../pairs/spread.js";
import { table } from "../table.js";
import type { DimensionResult, ScalingReport } from "./bench.js";

/** How many times faster two threads should be than one. */
const FASTER = 1.8;
/** How far a step's time may be from a line, as a share. */
const APART = 0.1;

const apart = ({ sizes }: DimensionResult) =>
  Math.max(...sizes.map(({ overLine }) => Math.abs(overLine - 1)));

export function formatScaling({ threads, results }: ScalingReport): string {
  const parts = [
    `## How a step's time grows\n`,
    `Our own side alone, ${threads} threads, ${results[0]!.rounds} rounds in turns; median (quartiles) in ms.\n`,
  ];
  const faster = results.flatMap(({ name, threads: one }) => {
    if (one === null) return [];
    const { median } = one.faster;
    const goal =
      one.threads === 2 ? `${median >= FASTER ? "reached" : "not reached"} (${FASTER})` : "";
    return [
      [
        name,
        formatSpread(spreadOf(one.one), 1),
        formatSpread(spreadOf(one.all), 1),
        formatSpread(one.faster, 2),
        goal,
      ],
    ];
  });
  if (faster.length > 0) {
    parts.push(
      table(["training", "1 thread", `${threads} threads`, "times faster", "goal"], faster),
    );
    parts.push("");
  }
  const rows = results.flatMap(({ name, dimensions }) =>
    dimensions.flatMap((dimension) =>
      dimension.sizes.map(({ size, milliseconds, overLine }, at) => {
        const first = at === 0;
        const { fixed, each } = dimension.line;
        return [
          first ? `${name}, ${dimension.name}` : "",
          String(size),
          formatSpread(spreadOf(milliseconds), 1),
          (fixed + each * size).toFixed(1),
          overLine.toFixed(3),
          first
            ? `${apart(dimension) <= APART ? "reached" : "not reached"} (within ${100 * APART} %)`
            : "",
        ];
      }),
    ),
  );
  parts.push(
    "The line is the one with the least relative distances (time = fixed + each x size):\n",
    table(["training, what grows", "size", "ms/step", "line", "measured / line", "goal"], rows),
  );
  return parts.join("\n");
}
