import type { BenchOptions } from "../options.js";
import { formatSpread, ratiosOf, type Spread, spreadOf } from "../pairs/spread.js";
import { takeTurns } from "../pairs/turns.js";
import { table } from "../table.js";
import { CONFIGURATIONS, type Configuration, isNamed } from "./configurations.js";
import { type Prepared, prepare, SIDES, type Side, TOLERANCE, type Versions } from "./sides.js";

interface Memory {
  /** After loading the libraries, before there is a model; MiB. */
  readonly libraries: number;
  /** While training; MiB. */
  readonly peak: number;
}

export interface SideResult {
  /** Milliseconds a step, by round. */
  readonly milliseconds: readonly number[];
  readonly tokensPerSecond: number;
  readonly memory: Memory;
  /** Our time as a share of this side's; 1 for our own. */
  readonly ratio: Spread;
}

export interface StepResult {
  readonly name: string;
  readonly parameters: number;
  /** How often each side's process was started. */
  readonly starts: number;
  readonly rounds: number;
  readonly stepsPerRound: number;
  readonly losses: Prepared["losses"];
  readonly difference: number;
  readonly sides: Partial<Record<Side, SideResult>>;
  readonly missing: Partial<Record<Side, string>>;
}

export interface StepReport {
  readonly threads: number;
  readonly versions: Versions;
  readonly results: readonly StepResult[];
}

/** Each side's processes are started so many times: where a process's memory lies makes a few percent. */
const STARTS = 3;

/** What one set of processes measured. */
interface Started {
  readonly prepared: Prepared;
  readonly stepsPerRound: number;
  /** Milliseconds a step, by round. */
  readonly milliseconds: Partial<Record<Side, number[]>>;
  readonly memory: Partial<Record<Side, Memory>>;
}

async function measureOnce(
  configuration: Configuration,
  { quick, threads }: BenchOptions,
  rounds: number,
): Promise<Started> {
  const prepared = await prepare(configuration, threads);
  try {
    const { workers } = prepared;
    const sides = SIDES.filter((side) => workers.has(side));
    const train = (side: Side, steps: number) => workers.get(side)!.ask<number>("train", { steps });
    let longest = 0;
    for (const side of sides) {
      await workers.get(side)!.ask("begin");
      // The first steps are not like the others: optimizer state, compilation, V8.
      await train(side, quick ? 2 : 20);
      await workers.get(side)!.ask("resetPeak");
      longest = Math.max(longest, (await train(side, 3)) / 3);
    }
    const stepsPerRound = quick ? 2 : Math.max(3, Math.ceil(1 / longest));
    const milliseconds = await takeTurns(
      sides,
      rounds,
      async (side) => ((await train(side, stepsPerRound)) * 1000) / stepsPerRound,
    );
    const memory: Partial<Record<Side, Memory>> = {};
    for (const side of sides) memory[side] = await workers.get(side)!.ask<Memory>("memory");
    return { prepared, stepsPerRound, milliseconds, memory };
  } finally {
    await prepared.stop();
  }
}

async function measure(
  configuration: Configuration,
  options: BenchOptions,
): Promise<{ result: StepResult; versions: Versions }> {
  const starts = options.quick ? 1 : STARTS;
  const rounds = Math.ceil((options.rounds ?? (options.quick ? 2 : 18)) / starts);
  const started: Started[] = [];
  for (let start = 0; start < starts; start++) {
    started.push(await measureOnce(configuration, options, rounds));
  }
  const [{ prepared, stepsPerRound }] = started as [Started];
  const { batchSize, blockSize } = configuration.settings;
  const all = (side: Side) => started.flatMap((one) => one.milliseconds[side] ?? []);
  const ours = all("TypeScript");
  const sides: Partial<Record<Side, SideResult>> = {};
  for (const side of SIDES) {
    const milliseconds = all(side);
    if (milliseconds.length !== ours.length) continue;
    const memories = started.map((one) => one.memory[side]!);
    sides[side] = {
      milliseconds,
      tokensPerSecond: (batchSize * blockSize * 1000) / spreadOf(milliseconds).median,
      memory: {
        libraries: spreadOf(memories.map(({ libraries }) => libraries)).median,
        peak: spreadOf(memories.map(({ peak }) => peak)).median,
      },
      ratio: ratiosOf(ours, milliseconds),
    };
  }
  return {
    versions: prepared.versions,
    result: {
      name: configuration.name,
      parameters: prepared.parameters,
      starts,
      rounds: ours.length,
      stepsPerRound,
      losses: prepared.losses,
      difference: Math.max(...started.map((one) => one.prepared.difference)),
      sides,
      missing: Object.fromEntries(prepared.missing),
    },
  };
}

/** Times a training step of each configuration on all sides, in turns. */
export async function measureSteps(options: BenchOptions): Promise<StepReport> {
  const results: StepResult[] = [];
  let versions: Versions | null = null;
  for (const configuration of CONFIGURATIONS) {
    if (!isNamed(configuration, options.only)) continue;
    process.stderr.write(`${configuration.name} ...\n`);
    const measured = await measure(configuration, options);
    versions = measured.versions;
    results.push(measured.result);
  }
  if (versions === null) {
    throw new Error(
      `--only: expected part of a name among ${CONFIGURATIONS.map(({ name }) => name).join(", ")}, got ${options.only}`,
    );
  }
  return { threads: options.threads, versions, results };
}

export function formatSteps({ threads, versions, results }: StepReport): string {
  const rows = results.flatMap(({ name, sides, missing }) => [
    ...SIDES.flatMap((side) => {
      const result = sides[side];
      if (result === undefined) return [];
      return [
        [
          name,
          side,
          formatSpread(spreadOf(result.milliseconds), 1),
          result.tokensPerSecond.toFixed(0),
          side === "TypeScript" ? "" : formatSpread(result.ratio, 3),
          result.memory.peak.toFixed(0),
          result.memory.libraries.toFixed(0),
        ],
      ];
    }),
    ...Object.entries(missing).map(([side, why]) => [name, side, `not measured: ${why}`]),
  ]);
  const differences = results.map(
    ({ name, difference }) => `${name} ${difference.toExponential(1)}`,
  );
  return [
    `## Training step\n`,
    `The \`shakespeare\` preset: batches of 32 blocks of 64 tokens, C 128, 4 heads, 4 layers, dropout 0.2, fused AdamW; ${results.map(({ name, parameters }) => `${name} ${parameters} parameters`).join(", ")}.`,
    `All sides on ${threads} threads (OMP_WAIT_POLICY ${process.env.OMP_WAIT_POLICY ?? "not set"}), libtorch ${versions.libtorch} in both, Python ${versions.python}. ${results[0]!.rounds} rounds of about a second in turns, the processes started ${results[0]!.starts} times.`,
    `Checked first: from the same weights, without dropout, all sides have the same losses over 5 steps (largest difference: ${differences.join(", ")}; allowed ${TOLERANCE.float32} in float32, ${TOLERANCE.bfloat16} in bfloat16).`,
    `Median (quartiles); ratio: TypeScript's time as a share of the side's, by round. Memory: peak while training, and with nothing but the libraries loaded.\n`,
    table(
      ["training", "side", "ms/step", "tokens/s", "TypeScript / side", "peak MiB", "libraries MiB"],
      rows,
    ),
  ].join("\n");
}
