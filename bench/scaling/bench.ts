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
  /** How many times faster, by round. */
  readonly faster: Spread;
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

/** Trainings that take turns: milliseconds a step of each, by round. */
async function inTurns(
  trainings: readonly { readonly settings: Settings; readonly threads: number }[],
  vocabulary: number,
  { quick }: BenchOptions,
  rounds: number,
): Promise<number[][]> {
  const folder = mkdtempSync(path.join(tmpdir(), "wavegpt-bench-"));
  const workers: Worker[] = [];
  try {
    const tokens = path.join(folder, "tokens.u16");
    writeTokens(tokens, vocabulary);
    const steps: number[] = [];
    for (const { settings, threads } of trainings) {
      const worker = Worker.node("TypeScript", "step/worker.js", threadEnvironment(threads));
      workers.push(worker);
      await worker.ask("prepare", { settings, vocabulary, tokens, weights: "", threads });
      await worker.ask("train", { steps: quick ? 1 : 10 });
      const each = (await worker.ask<number>("train", { steps: 2 })) / 2;
      steps.push(quick ? 1 : Math.max(1, Math.ceil(0.2 / each)));
    }
    const names = trainings.map((_, at) => String(at));
    const measured = await takeTurns(names, rounds, async (name) => {
      const at = Number(name);
      const seconds = await workers[at]!.ask<number>("train", { steps: steps[at]! });
      return (seconds * 1000) / steps[at]!;
    });
    return names.map((name) => measured[name]!);
  } finally {
    await Promise.all(workers.map((worker) => worker.stop()));
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
    const both = [1, threads].map((count) => ({ settings, threads: count }));
    const [one, all] = (await inTurns(both, vocabulary, options, rounds)) as [number[], number[]];
    byThreads = { threads, one, all, faster: ratiosOf(one, all) };
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
