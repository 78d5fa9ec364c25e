import { formatSpread, ratiosOf, spreadOf } from "../pairs/spread.js";
import { table } from "../table.js";
import type { DimensionResult, ScalingReport } from "./bench.js";

/** How many times faster two threads should be than one. */
const FASTER = 1.8;
/** Round trips up to so many times the shortest are between cores that are as near: a cache apart takes four times. */
const NEAR = 2;
/** How far a step's time may be from a line, as a share. */
const APART = 0.1;

const apart = ({ sizes }: DimensionResult) =>
  Math.max(...sizes.map(({ overLine }) => Math.abs(overLine - 1)));

/** Rounds whose cores took as long to answer each other. */
interface Placement {
  readonly title: string;
  readonly rounds: readonly number[];
}

/** All rounds, and where a virtual machine's cores were moved apart or together meanwhile, each kind for itself. */
export function placements(roundTrips: readonly number[], rounds: number): Placement[] {
  const every = Array.from({ length: rounds }, (_, round) => round);
  const all = { title: "all", rounds: every };
  if (roundTrips.length !== rounds) return [all];
  const nearest = Math.min(...roundTrips);
  const near = every.filter((round) => roundTrips[round]! < NEAR * nearest);
  if (near.length === rounds) return [all];
  const far = every.filter((round) => !near.includes(round));
  return [all, { title: "cores near", rounds: near }, { title: "cores far", rounds: far }];
}

export function threadsTable({ results }: ScalingReport): string | null {
  const rows = results.flatMap(({ name, threads }) => {
    if (threads === null) return [];
    const { one, all, apart, roundTrips = [], threads: count } = threads;
    return placements(roundTrips, one.length).map(({ title, rounds }) => {
      const of = (values: readonly number[]) => rounds.map((round) => values[round]!);
      const faster = ratiosOf(of(one), of(all));
      const machine = ratiosOf(
        of(one).map((milliseconds) => count * milliseconds),
        of(apart),
      );
      const reached = faster.median >= FASTER ? "reached" : "not reached";
      return [
        title === "all" ? name : "",
        String(count),
        `${title} (${rounds.length})`,
        roundTrips.length === 0 ? "" : formatSpread(spreadOf(of(roundTrips)), 0),
        formatSpread(spreadOf(of(one)), 1),
        formatSpread(spreadOf(of(all)), 1),
        formatSpread(spreadOf(of(apart)), 1),
        formatSpread(faster, 2),
        formatSpread(machine, 2),
        count === 2 ? `${reached} (${FASTER})` : "",
      ];
    });
  });
  if (rows.length === 0) return null;
  return table(
    [
      "training",
      "threads",
      "rounds",
      "core to core ns",
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
          `"1 each, at once": ${threads} processes train side by side with one thread each and share nothing but the machine; "machine" is how many times the work of one they did in its time, which no program can do better. "Core to core" is how long a cache line takes from one core to the other and back before a round; where some rounds took over ${NEAR} times as long as others, the machine had moved its cores apart, and both kinds are given.\n`,
        ]),
    "The line is the one with the least relative distances (time = fixed + each x size):\n",
    sizesTable(report),
  ].join("\n");
}
