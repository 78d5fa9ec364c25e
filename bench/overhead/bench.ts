import type { BenchOptions } from "../options.js";
import { formatSpread, geometricMean, ratiosOf, type Spread, spreadOf } from "../pairs/spread.js";
import { takeTurns } from "../pairs/turns.js";
import { Worker } from "../pairs/worker.js";
import { table } from "../table.js";

/** The issue's target: what an operator may cost, as a share of what it costs from Python. */
export const TARGET = 0.7;

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

interface Measured {
  readonly ours: number[];
  readonly theirs: number[];
}

/** One pair of processes: nanoseconds a call of each case that has `only` in its text. */
async function measureOnce(
  { quick, only }: BenchOptions,
  rounds: number,
  measured: Map<string, Case & Measured>,
): Promise<OverheadReport["versions"]> {
  const ours = Worker.node("TypeScript", "overhead/worker.js", ENVIRONMENT);
  const theirs = Worker.python("Python", "overhead.py", ENVIRONMENT);
  try {
    const our = await ours.ask<{ cases: Case[]; libtorch: string; threads: number }>("describe");
    const their = await theirs.ask<{ torch: string; python: string; threads: number }>("describe");
    if (our.threads !== 1 || their.threads !== 1) {
      throw new Error(`expected one thread each, got ${our.threads} and ${their.threads}`);
    }
    const milliseconds = quick ? 2 : 15;
    for (const [index, { typescript, python }] of our.cases.entries()) {
      if (!typescript.includes(only) && !python.includes(only)) continue;
      const measure = {
        ours: (times: number) => ours.ask<number>("measure", { index, times }),
        theirs: (times: number) => theirs.ask<number>("measure", { statement: python, times }),
      };
      const sides = ["ours", "theirs"] as const;
      const times = { ours: 0, theirs: 0 };
      for (const side of sides) {
        // Warm (V8 compiles what is hot), then as many calls as fill the time.
        await measure[side](quick ? 2_000 : 50_000);
        times[side] = Math.ceil((milliseconds * 1e6) / (await measure[side](2_000)) / 100) * 100;
      }
      const turns = await takeTurns(sides, rounds, (side) => measure[side](times[side]));
      const before = measured.get(typescript) ?? { typescript, python, ours: [], theirs: [] };
      before.ours.push(...turns.ours);
      before.theirs.push(...turns.theirs);
      measured.set(typescript, before);
    }
    return { libtorch: our.libtorch, torch: their.torch, python: their.python };
  } finally {
    await Promise.all([ours.stop(), theirs.stop()]);
  }
}

/** Times each case on both sides in turns, one thread each. */
export async function measureOverhead(options: BenchOptions): Promise<OverheadReport> {
  const starts = options.quick ? 1 : STARTS;
  const rounds = Math.ceil((options.rounds ?? (options.quick ? 3 : 27)) / starts);
  const measured = new Map<string, Case & Measured>();
  let versions: OverheadReport["versions"] = {};
  for (let start = 0; start < starts; start++) {
    versions = await measureOnce(options, rounds, measured);
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

export function formatOverhead({ versions, starts, rounds, results }: OverheadReport): string {
  const rows = results.map(({ typescript, python, ours, theirs, ratio }) => [
    `\`${typescript}\``,
    `\`${python}\``,
    spreadOf(ours).median.toFixed(0),
    spreadOf(theirs).median.toFixed(0),
    formatSpread(ratio, 2),
  ]);
  const ratios = results.map(({ ratio }) => ratio.median);
  const slow = results.filter(({ ratio }) => ratio.median >= TARGET);
  return [
    `## Operator overhead\n`,
    `4x4 float32 tensors; \`p\` and \`b\` require a gradient, \`s\` is a scalar. One thread each, ${rounds} rounds in turns, the processes started ${starts} times.`,
    `libtorch ${versions.libtorch} in both; Python ${versions.python}. Nanoseconds a call (median); ratio: median (quartiles) of the rounds' ratios.\n`,
    table(["TypeScript", "Python", "TypeScript ns", "Python ns", "ratio"], rows),
    "",
    `Geometric mean of the ratios: ${geometricMean(ratios).toFixed(2)}. Target: under ${TARGET}; reached by ${results.length - slow.length} of ${results.length}${slow.length === 0 ? "" : `, not by ${slow.map(({ typescript }) => `\`${typescript}\``).join(", ")}`}.`,
  ].join("\n");
}
