import type { BenchOptions } from "../options.js";
import { formatSpread, geometricMean, ratiosOf, type Spread, spreadOf } from "../pairs/spread.js";
import { takeTurns } from "../pairs/turns.js";
import { Worker } from "../pairs/worker.js";
import { table } from "../table.js";
import { buildFloor } from "./floor.js";

/** The issue's target: what an operator may cost, as a share of what it costs from Python. */
export const TARGET = 0.5;

interface Case {
  readonly typescript: string;
  readonly python: string;
}

export interface OverheadResult {
  readonly typescript: string;
  readonly python: string;
  /** Nanoseconds a call, by round. */
  readonly ours: readonly number[];
  readonly theirs: readonly number[];
  /** The same call from C++, with our allocator and with PyTorch's. */
  readonly ourFloor: readonly number[];
  readonly theirFloor: readonly number[];
  readonly ratio: Spread;
}

export interface OverheadReport {
  readonly versions: Readonly<Record<string, string>>;
  /** How often each side's process was started. */
  readonly starts: number;
  readonly rounds: number;
  readonly results: readonly OverheadResult[];
}

/** Each side's process is started so many times: where a process's memory lies makes a few percent. */
const STARTS = 3;

const ENVIRONMENT = { OMP_NUM_THREADS: "1", MKL_NUM_THREADS: "1" };

const SIDES = ["ours", "theirs", "ourFloor", "theirFloor"] as const;
type Side = (typeof SIDES)[number];
type Measured = Record<Side, number[]>;

/** One process a side: nanoseconds a call of each case that has `only` in its text. */
async function measureOnce(
  { quick, only }: BenchOptions,
  rounds: number,
  floor: string,
  measured: Map<string, Case & Measured>,
): Promise<OverheadReport["versions"]> {
  const ours = Worker.node("TypeScript", "overhead/worker.js", ENVIRONMENT);
  const theirs = Worker.python("Python", "overhead.py", ENVIRONMENT);
  const ourFloor = new Worker("C++ with our allocator", floor, ["cached"], ENVIRONMENT);
  const theirFloor = new Worker("C++", floor, ["plain"], ENVIRONMENT);
  try {
    const our = await ours.ask<{ cases: Case[]; libtorch: string; threads: number }>("describe");
    const their = await theirs.ask<{ torch: string; python: string; threads: number }>("describe");
    if (our.threads !== 1 || their.threads !== 1) {
      throw new Error(`expected one thread each, got ${our.threads} and ${their.threads}`);
    }
    const milliseconds = quick ? 2 : 15;
    for (const [index, { typescript, python }] of our.cases.entries()) {
      if (!typescript.includes(only) && !python.includes(only)) continue;
      const statement = { statement: python };
      const measure: Record<Side, (times: number) => Promise<number>> = {
        ours: (times) => ours.ask("measure", { index, times }),
        theirs: (times) => theirs.ask("measure", { ...statement, times }),
        ourFloor: (times) => ourFloor.ask("measure", { ...statement, times }),
        theirFloor: (times) => theirFloor.ask("measure", { ...statement, times }),
      };
      const times: Record<Side, number> = { ours: 0, theirs: 0, ourFloor: 0, theirFloor: 0 };
      for (const side of SIDES) {
        // Warm (V8 compiles what is hot), then as many calls as fill the time.
        await measure[side](quick ? 2_000 : 50_000);
        const once = Math.max(await measure[side](2_000), 0.5);
        times[side] = Math.ceil((milliseconds * 1e6) / once / 100) * 100;
      }
      const turns = await takeTurns(SIDES, rounds, (side) => measure[side](times[side]));
      const all = measured.get(typescript) ?? {
        ...{ typescript, python },
        ...{ ours: [], theirs: [], ourFloor: [], theirFloor: [] },
      };
      for (const side of SIDES) all[side].push(...turns[side]);
      measured.set(typescript, all);
    }
    return { libtorch: our.libtorch, torch: their.torch, python: their.python };
  } finally {
    await Promise.all([ours, theirs, ourFloor, theirFloor].map((worker) => worker.stop()));
  }
}

/** Times each case on both sides in turns, one thread each. */
export async function measureOverhead(options: BenchOptions): Promise<OverheadReport> {
  const starts = options.quick ? 1 : STARTS;
  const rounds = Math.ceil((options.rounds ?? (options.quick ? 3 : 27)) / starts);
  const measured = new Map<string, Case & Measured>();
  let versions: OverheadReport["versions"] = {};
  const floor = buildFloor();
  for (let start = 0; start < starts; start++) {
    versions = await measureOnce(options, rounds, floor, measured);
  }
  const results = [...measured.values()].map((one) => ({
    ...one,
    ratio: ratiosOf(one.ours, one.theirs),
  }));
  if (results.length === 0) {
    throw new Error(`--only: expected part of an operator's call, got ${options.only}`);
  }
  return { versions, starts, rounds: rounds * starts, results };
}

const medianOf = (values: readonly number[]) => spreadOf(values).median;

/** Nanoseconds that a language adds to the call from C++: the median of the rounds' differences. */
function above(times: readonly number[], floor: readonly number[]): number {
  return medianOf(times.map((time, round) => time - floor[round]!));
}

export function formatOverhead({ versions, starts, rounds, results }: OverheadReport): string {
  const added = results.map(({ ours, theirs, ourFloor, theirFloor }) => ({
    ours: above(ours, ourFloor),
    theirs: above(theirs, theirFloor),
  }));
  const rows = results.map(
    ({ typescript, python, ours, theirs, ourFloor, theirFloor, ratio }, at) => [
      `\`${typescript}\``,
      `\`${python}\``,
      medianOf(ours).toFixed(0),
      medianOf(theirs).toFixed(0),
      formatSpread(ratio, 2),
      `${medianOf(ourFloor).toFixed(0)} / ${medianOf(theirFloor).toFixed(0)}`,
      added[at]!.ours.toFixed(0),
      added[at]!.theirs.toFixed(0),
    ],
  );
  const ratios = results.map(({ ratio }) => ratio.median);
  const floors = results.map(({ ourFloor, theirs }) => ratiosOf(ourFloor, theirs).median);
  const slow = results.filter(({ ratio }) => ratio.median > TARGET);
  const mean = (side: "ours" | "theirs") =>
    added.reduce((sum, one) => sum + one[side], 0) / added.length;
  return [
    `## Operator overhead\n`,
    `4x4 float32 tensors; \`p\` and \`b\` require a gradient, \`s\` is a scalar. One thread each, ${rounds} rounds in turns, the processes started ${starts} times.`,
    `libtorch ${versions.libtorch} in all; Python ${versions.python}. Nanoseconds a call (median); ratio: median (quartiles) of the rounds' ratios. C++: the same call of libtorch from C++, with our allocator / with PyTorch's; added: what TypeScript takes above the first, Python above the second.\n`,
    table(
      [
        "TypeScript",
        "Python",
        "TypeScript ns",
        "Python ns",
        "ratio",
        "C++ ns",
        "added",
        "added by Python",
      ],
      rows,
    ),
    "",
    `Geometric mean of the ratios: ${geometricMean(ratios).toFixed(2)}. Target: at most ${TARGET}; reached by ${results.length - slow.length} of ${results.length}${slow.length === 0 ? "" : `, not by ${slow.map(({ typescript }) => `\`${typescript}\``).join(", ")}`}.`,
    `The calls from C++ alone, with our allocator: a geometric mean of ${geometricMean(floors).toFixed(2)} of Python's.`,
    `Added to the call from C++, on average: ${mean("ours").toFixed(0)} ns by TypeScript, ${mean("theirs").toFixed(0)} ns by Python: a ratio of ${(mean("ours") / mean("theirs")).toFixed(2)}.`,
  ].join("\n");
}
