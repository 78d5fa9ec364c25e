import type { BenchOptions } from "../options.js";
import { spreadOf } from "../pairs/spread.js";
import { type Configuration, configurationsNamed } from "../step/configurations.js";
import { inTurns } from "../step/in-turns.js";
import { type Line, lineThrough } from "./line.js";
import { coreRoundTrip } from "./round-trip.js";
import { DIMENSIONS, type Dimension, resized } from "./sizes.js";

export interface SizeResult {
  readonly size: number;
  /** Milliseconds a step, by round. */
  readonly milliseconds: readonly number[];
  /** The median over what the line says. */
  readonly overLine: number;
}

export interface DimensionResult {
  readonly name: Dimension["name"];
  readonly line: Line;
  readonly sizes: readonly SizeResult[];
}

export interface ThreadsResult {
  readonly threads: number;
  /** Milliseconds a step, by round, with one thread and with all of `threads`. */
  readonly one: readonly number[];
  readonly all: readonly number[];
  /** The same of `threads` processes at once with one thread each, which share nothing but the machine. */
  readonly apart: readonly number[];
  /** Nanoseconds of {@link coreRoundTrip} before each round; absent in older measurements, and with one core. */
  readonly roundTrips?: readonly number[];
}

export interface ScalingResult {
  readonly name: string;
  readonly rounds: number;
  /** Null with one thread. */
  readonly threads: ThreadsResult | null;
  readonly dimensions: readonly DimensionResult[];
}

export interface ScalingReport {
  readonly threads: number;
  readonly results: readonly ScalingResult[];
}

async function scale(
  { name, vocabulary, settings }: Configuration,
  options: BenchOptions,
): Promise<ScalingResult> {
  const rounds = options.rounds ?? (options.quick ? 2 : 20);
  const { threads } = options;
  let byThreads: ThreadsResult | null = null;
  if (threads > 1) {
    const roundTrips: number[] = [];
    const [one, all, apart] = (await inTurns(
      [
        { settings, threads: 1 },
        { settings, threads },
        { settings, threads: 1, processes: threads },
      ],
      vocabulary,
      options,
      rounds,
      async () => {
        const roundTrip = await coreRoundTrip();
        if (roundTrip !== null) roundTrips.push(roundTrip);
      },
    )) as [number[], number[], number[]];
    byThreads = { threads, one, all, apart, roundTrips };
  }
  const dimensions: DimensionResult[] = [];
  for (const dimension of DIMENSIONS) {
    const { sizes } = dimension;
    const trainings = sizes.map((size) => ({
      settings: resized(settings, dimension, size),
      threads,
    }));
    const measured = await inTurns(trainings, vocabulary, options, rounds);
    const medians = measured.map((one) => spreadOf(one).median);
    const line = lineThrough(sizes, medians);
    dimensions.push({
      name: dimension.name,
      line,
      sizes: sizes.map((size, at) => ({
        size,
        milliseconds: measured[at]!,
        overLine: medians[at]! / (line.fixed + line.each * size),
      })),
    });
  }
  return { name, rounds, threads: byThreads, dimensions };
}

/** How our step's time grows with threads, batch, block size and layers. */
export async function measureScaling(options: BenchOptions): Promise<ScalingReport> {
  const results: ScalingResult[] = [];
  for (const configuration of configurationsNamed(options.only || "wavegpt 65")) {
    process.stderr.write(`${configuration.name} ...\n`);
    results.push(await scale(configuration, options));
  }
  return { threads: options.threads, results };
}
