import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Settings } from "../../src/config/settings.js";
import type { BenchOptions } from "../options.js";
import { ratiosOf, type Spread, spreadOf } from "../pairs/spread.js";
import { takeTurns } from "../pairs/turns.js";
import { Worker } from "../pairs/worker.js";
import { type Configuration, configurationsNamed } from "../step/configurations.js";
import { threadEnvironment, writeTokens } from "../step/sides.js";
import { type Line, lineThrough } from "./line.js";
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
  /** How many times faster all threads are than one, by round. */
  readonly faster: Spread;
  /** How many times the work of one process all of them did in the same time, by round: what the machine gives. */
  readonly machine: Spread;
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

interface Entrant {
  readonly settings: Settings;
  readonly threads: number;
  /** How many processes do the same at once; default 1. */
  readonly processes?: number;
}

/** Trainings that take turns: milliseconds a step of each, by round. */
async function inTurns(
  trainings: readonly Entrant[],
  vocabulary: number,
  { quick }: BenchOptions,
  rounds: number,
): Promise<number[][]> {
  const folder = mkdtempSync(path.join(tmpdir(), "wavegpt-bench-"));
  const workers: Worker[][] = [];
  try {
    const tokens = path.join(folder, "tokens.u16");
    writeTokens(tokens, vocabulary);
    const steps: number[] = [];
    // As long as the slowest of the processes takes.
    const train = async (at: number, count: number) =>
      Math.max(
        ...(await Promise.all(
          workers[at]!.map((worker) => worker.ask<number>("train", { steps: count })),
        )),
      );
    for (const [at, { settings, threads, processes = 1 }] of trainings.entries()) {
      workers.push([]);
      for (let process = 0; process < processes; process++) {
        const worker = Worker.node("TypeScript", "step/worker.js", threadEnvironment(threads));
        workers[at]!.push(worker);
        await worker.ask("prepare", { settings, vocabulary, tokens, weights: "", threads });
      }
      await train(at, quick ? 1 : 10);
      const each = (await train(at, 2)) / 2;
      steps.push(quick ? 1 : Math.max(1, Math.ceil(0.2 / each)));
    }
    const names = trainings.map((_, at) => String(at));
    const measured = await takeTurns(names, rounds, async (name) => {
      const at = Number(name);
      return ((await train(at, steps[at]!)) * 1000) / steps[at]!;
    });
    return names.map((name) => measured[name]!);
  } finally {
    await Promise.all(workers.flat().map((worker) => worker.stop()));
    rmSync(folder, { recursive: true, force: true });
  }
}

async function scale(
  { name, vocabulary, settings }: Configuration,
  options: BenchOptions,
): Promise<ScalingResult> {
  const rounds = options.rounds ?? (options.quick ? 2 : 20);
  const { threads } = options;
  let byThreads: ThreadsResult | null = null;
  if (threads > 1) {
    const [one, all, apart] = (await inTurns(
      [
        { settings, threads: 1 },
        { settings, threads },
        { settings, threads: 1, processes: threads },
      ],
      vocabulary,
      options,
      rounds,
    )) as [number[], number[], number[]];
    const whole = one.map((milliseconds) => milliseconds * threads);
    byThreads = {
      threads,
      one,
      all,
      apart,
      faster: ratiosOf(one, all),
      machine: ratiosOf(whole, apart),
    };
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
