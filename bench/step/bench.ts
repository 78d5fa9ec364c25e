import type { BenchOptions } from "../options.js";
import { takeTurns } from "../pairs/turns.js";
import { type Best, bestOf } from "./best.js";
import { type Configuration, configurationsNamed, type Dtype } from "./configurations.js";
import { type Other, type Prepared, prepare, SIDES, type Side, type Versions } from "./sides.js";

export interface Memory {
  /** After loading the libraries, before there is a model; MiB. */
  readonly libraries: number;
  /** While training; MiB. */
  readonly peak: number;
}

/** A side in a precision. */
export interface Entrant {
  readonly side: Side;
  readonly dtype: Dtype;
  /** Milliseconds a step, by round. */
  readonly milliseconds: readonly number[];
  /** By start of the process. */
  readonly memory: readonly Memory[];
}

/** One model with one vocabulary, on all sides and in both precisions, which all took turns. */
export interface StepResult {
  /** E.g. `"gpt 65"`. */
  readonly name: string;
  readonly vocabulary: number;
  readonly parameters: number;
  readonly tokensPerStep: number;
  /** How often each entrant's process was started. */
  readonly starts: number;
  readonly rounds: number;
  readonly stepsPerRound: number;
  /** By precision: the losses that were compared, and the largest difference of a side's from ours. */
  readonly losses: Partial<Record<Dtype, Prepared["losses"]>>;
  readonly difference: Partial<Record<Dtype, number>>;
  readonly entrants: readonly Entrant[];
  /** Why a side was not measured. */
  readonly missing: Partial<Record<Side, string>>;
  readonly best: Best;
}

export interface StepReport {
  readonly threads: number;
  readonly versions: Versions;
  readonly results: readonly StepResult[];
}

/** What is measured how often, by vocabulary: a step with the large one takes up to two seconds. */
interface Extent {
  readonly starts: number;
  readonly rounds: number;
  readonly warmUp: number;
  /** A round of each entrant takes at least this long, in seconds. */
  readonly round: number;
}

function extentOf(vocabulary: number, { quick, rounds }: BenchOptions): Extent {
  const small = vocabulary < 1000;
  if (quick) return { starts: 1, rounds: rounds ?? 2, warmUp: 1, round: 0 };
  return {
    // Where a process's memory happens to lie makes a few percent.
    starts: small ? 3 : 2,
    rounds: rounds ?? (small ? 24 : 20),
    // The first steps are not like the others: optimizer state, compilation, V8.
    warmUp: small ? 20 : 3,
    round: 0.4,
  };
}

type Key = `${Side} ${Dtype}`;

interface Started {
  readonly prepared: ReadonlyMap<Dtype, Prepared>;
  readonly stepsPerRound: number;
  readonly milliseconds: Readonly<Record<Key, number[]>>;
  readonly memory: Readonly<Record<Key, Memory>>;
}

async function measureOnce(
  configurations: readonly Configuration[],
  { threads, composed }: BenchOptions,
  extent: Extent,
  rounds: number,
): Promise<Started> {
  const prepared = new Map<Dtype, Prepared>();
  try {
    for (const configuration of configurations) {
      const against = SIDES.filter(
        (side) => side !== "TypeScript" && (composed || side !== "composed"),
      );
      prepared.set(
        configuration.settings.dtype,
        await prepare(configuration, threads, against as Other[]),
      );
    }
    const keys: Key[] = [];
    const workers = new Map<Key, NonNullable<ReturnType<Prepared["workers"]["get"]>>>();
    for (const side of SIDES) {
      for (const [dtype, one] of prepared) {
        const worker = one.workers.get(side);
        if (worker === undefined) continue;
        keys.push(`${side} ${dtype}`);
        workers.set(`${side} ${dtype}`, worker);
      }
    }
    const train = (key: Key, steps: number) => workers.get(key)!.ask<number>("train", { steps });
    let longest = 0;
    for (const key of keys) {
      await workers.get(key)!.ask("begin");
      await train(key, extent.warmUp);
      await workers.get(key)!.ask("resetPeak");
      longest = Math.max(longest, (await train(key, 2)) / 2);
    }
    const stepsPerRound = Math.max(1, Math.ceil(extent.round / longest));
    const milliseconds = await takeTurns(
      keys,
      rounds,
      async (key) => ((await train(key, stepsPerRound)) * 1000) / stepsPerRound,
    );
    const memory = {} as Record<Key, Memory>;
    for (const key of keys) memory[key] = await workers.get(key)!.ask<Memory>("memory");
    return { prepared, stepsPerRound, milliseconds, memory };
  } finally {
    for (const one of prepared.values()) await one.stop();
  }
}

async function measure(
  name: string,
  configurations: readonly Configuration[],
  options: BenchOptions,
): Promise<{ result: StepResult; versions: Versions }> {
  const [{ vocabulary, settings }] = configurations as [Configuration];
  const extent = extentOf(vocabulary, options);
  const rounds = Math.ceil(extent.rounds / extent.starts);
  const started: Started[] = [];
  for (let start = 0; start < extent.starts; start++) {
    started.push(await measureOnce(configurations, options, extent, rounds));
  }
  const [{ prepared, stepsPerRound }] = started as [Started];
  const entrants: Entrant[] = [];
  const missing: Partial<Record<Side, string>> = {};
  const losses: Partial<Record<Dtype, Prepared["losses"]>> = {};
  const difference: Partial<Record<Dtype, number>> = {};
  for (const [dtype, one] of prepared) {
    losses[dtype] = one.losses;
    difference[dtype] = Math.max(...started.map((each) => each.prepared.get(dtype)!.difference));
    for (const [side, why] of one.missing) missing[side] = why;
    for (const side of SIDES) {
      const key: Key = `${side} ${dtype}`;
      // A side that failed in one start is left out, as its rounds would have no partners.
      if (started.some((each) => each.milliseconds[key] === undefined)) continue;
      entrants.push({
        side,
        dtype,
        milliseconds: started.flatMap((each) => each.milliseconds[key]),
        memory: started.map((each) => each.memory[key]),
      });
    }
  }
  const [first] = prepared.values();
  return {
    versions: first!.versions,
    result: {
      name,
      vocabulary,
      parameters: first!.parameters,
      tokensPerStep: settings.batchSize * settings.blockSize,
      starts: extent.starts,
      rounds: rounds * extent.starts,
      stepsPerRound,
      losses,
      difference,
      entrants,
      missing,
      best: bestOf(entrants, vocabulary),
    },
  };
}

/** Times a training step of each model and vocabulary, on all sides and in both precisions, in turns. */
export async function measureSteps(options: BenchOptions): Promise<StepReport> {
  const groups = new Map<string, Configuration[]>();
  for (const one of configurationsNamed(options.only)) {
    const name = `${one.settings.model} ${one.vocabulary}`;
    groups.set(name, [...(groups.get(name) ?? []), one]);
  }
  const results: StepResult[] = [];
  let versions: Versions | null = null;
  for (const [name, configurations] of groups) {
    process.stderr.write(`${name} ...\n`);
    const measured = await measure(name, configurations, options);
    versions = measured.versions;
    results.push(measured.result);
  }
  return { threads: options.threads, versions: versions!, results };
}
