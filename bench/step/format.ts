import { formatSpread, ratiosOf, spreadOf } from "../pairs/spread.js";
import { table } from "../table.js";
import type { StepReport, StepResult } from "./bench.js";
import { peakOf } from "./best.js";
import { DTYPES } from "./configurations.js";
import { TOLERANCE } from "./sides.js";

function rowsOf({ name, entrants, missing, tokensPerStep }: StepResult): string[][] {
  const rows = entrants.map((one) => {
    const ours = entrants.find(({ side, dtype }) => side === "TypeScript" && dtype === one.dtype);
    return [
      `${name} ${one.dtype}`,
      one.side,
      formatSpread(spreadOf(one.milliseconds), 1),
      ((tokensPerStep * 1000) / spreadOf(one.milliseconds).median).toFixed(0),
      ours === undefined || ours === one
        ? ""
        : formatSpread(ratiosOf(ours.milliseconds, one.milliseconds), 3),
      peakOf(one).toFixed(0),
      spreadOf(one.memory.map(({ libraries }) => libraries)).median.toFixed(0),
    ];
  });
  for (const [side, why] of Object.entries(missing))
    rows.push([name, side, `not measured: ${why}`]);
  return rows;
}

function verdict(value: number, goal: number | undefined): string {
  return goal === undefined ? "" : `${value <= goal ? "reached" : "not reached"} (${goal})`;
}

function bestRowsOf({ name, best }: StepResult): string[][] {
  return Object.entries(best.against).map(([side, one]) => [
    name,
    `TypeScript ${best.dtype} / ${side} ${one.dtype}`,
    one.time.toFixed(3),
    formatSpread(one.byRound, 3),
    verdict(one.time, one.goal.time),
    one.memory.toFixed(2),
    one.memoryGrowth.toFixed(2),
    verdict(one.memory, one.goal.memory),
  ]);
}

export function stepTable(results: readonly StepResult[]): string {
  return table(
    ["training", "side", "ms/step", "tokens/s", "TypeScript / side", "peak MiB", "libraries MiB"],
    results.flatMap(rowsOf),
  );
}

/** The fastest precision of each side against ours. */
export function bestTable(results: readonly StepResult[]): string {
  return table(
    ["model", "best of each", "time", "by round", "goal", "peak", "above libraries", "goal"],
    results.flatMap(bestRowsOf),
  );
}

export function formatSteps({ threads, versions, results }: StepReport): string {
  const differences = results.flatMap(({ name, difference }) =>
    DTYPES.flatMap((dtype) =>
      difference[dtype] === undefined
        ? []
        : [`${name} ${dtype} ${difference[dtype].toExponential(1)}`],
    ),
  );
  const extents = results.map(
    ({ name, rounds, stepsPerRound, starts }) =>
      `${name} ${rounds} rounds of ${stepsPerRound} steps, the processes started ${starts} times`,
  );
  return [
    `## Training step\n`,
    `The \`shakespeare\` preset: batches of 32 blocks of 64 tokens, C 128, 4 heads, 4 layers, dropout 0.2, fused AdamW; ${results.map(({ name, parameters }) => `${name} ${parameters} parameters`).join(", ")}.`,
    `All sides on ${threads} threads (OMP_WAIT_POLICY ${process.env.OMP_WAIT_POLICY ?? "not set"}), libtorch ${versions.libtorch} in both, Python ${versions.python}. In turns: ${extents.join("; ")}.`,
    `Checked first: from the same weights, without dropout, all sides have the same losses over 5 steps (largest difference: ${differences.join(", ")}; allowed ${TOLERANCE.float32} in float32, ${TOLERANCE.bfloat16} in bfloat16).`,
    `Median (quartiles); ratio: TypeScript's time as a share of the side's, by round. Memory: peak while training, and with nothing but the libraries loaded.\n`,
    stepTable(results),
    "",
    `The best setting of each side (the precision with the shortest median step). Time: ratio of the medians, and median (quartiles) of the rounds' ratios. Memory: ratio of the peaks, and of what they are above the libraries alone.\n`,
    bestTable(results),
  ].join("\n");
}
