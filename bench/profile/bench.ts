import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { BenchOptions } from "../options.js";
import { Worker } from "../pairs/worker.js";
import { type Configuration, configurationsNamed } from "../step/configurations.js";
import { prepare, type Side, writeTokens } from "../step/sides.js";
import type { NativeUse } from "./native.js";
import { record } from "./perf.js";
import { type Sampled, summarize } from "./sampled.js";

export interface ProfileResult {
  readonly name: string;
  /** With a clock around each native call, of one step: all of it, and what is spent inside them. */
  readonly milliseconds: number;
  readonly nativeMilliseconds: number;
  /** Of one step, the longest first. */
  readonly uses: readonly NativeUse[];
  readonly sampled: Readonly<Partial<Record<Side, Sampled>>>;
  /** Why `sampled` is empty. */
  readonly withoutSamples: string | null;
}

export interface ProfileReport {
  readonly threads: number;
  readonly results: readonly ProfileResult[];
}

/** How long native calls are timed, and how long perf looks at each side; seconds. */
interface Extent {
  readonly clocked: number;
  readonly sampled: number;
}

async function nativeCalls(
  { settings, vocabulary }: Configuration,
  threads: number,
  { clocked }: Extent,
): Promise<Pick<ProfileResult, "milliseconds" | "nativeMilliseconds" | "uses">> {
  const folder = mkdtempSync(path.join(tmpdir(), "wavegpt-bench-"));
  const worker = Worker.node("TypeScript", "profile/worker.js", {});
  try {
    const tokens = path.join(folder, "tokens.u16");
    writeTokens(tokens, vocabulary);
    await worker.ask("prepare", { settings, vocabulary, tokens, threads });
    type Timed = { milliseconds: number; uses: NativeUse[] };
    const warm = await worker.ask<Timed>("train", { steps: 3 });
    const steps = Math.max(3, Math.ceil((clocked * 3000) / warm.milliseconds));
    const { milliseconds, uses } = await worker.ask<Timed>("train", { steps });
    const perStep = uses
      .map((use) => ({
        name: use.name,
        calls: use.calls / steps,
        milliseconds: use.milliseconds / steps,
      }))
      .sort((a, b) => b.milliseconds - a.milliseconds);
    return {
      milliseconds: milliseconds / steps,
      nativeMilliseconds: perStep.reduce((sum, use) => sum + use.milliseconds, 0),
      uses: perStep,
    };
  } finally {
    await worker.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function sample(
  configuration: Configuration,
  threads: number,
  { sampled: seconds }: Extent,
): Promise<Partial<Record<Side, Sampled>>> {
  // Node then writes the names of what V8 makes to /tmp/perf-PID.map, where perf looks for them.
  const environment = { NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ""} --perf-basic-prof` };
  const prepared = await prepare(configuration, threads, ["PyTorch eager"], environment);
  const sampled: Partial<Record<Side, Sampled>> = {};
  try {
    for (const [side, worker] of prepared.workers) {
      await worker.ask("begin");
      await worker.ask("train", { steps: 5 });
      const expected = (await worker.ask<number>("train", { steps: 3 })) / 3;
      const steps = Math.ceil((seconds + 1.5) / expected);
      const training = worker.ask<number>("train", { steps });
      const recording = await record(worker.pid, seconds).finally(() => training);
      sampled[side] = summarize(recording, (await training) / steps, worker.pid);
    }
    return sampled;
  } finally {
    const pids = [...prepared.workers.values()].map(({ pid }) => pid);
    await prepared.stop();
    for (const pid of pids) rmSync(`/tmp/perf-${pid}.map`, { force: true });
  }
}

async function profile(
  configuration: Configuration,
  threads: number,
  extent: Extent,
): Promise<ProfileResult> {
  const timed = await nativeCalls(configuration, threads, extent);
  let sampled: ProfileResult["sampled"] = {};
  let withoutSamples: string | null = null;
  try {
    sampled = await sample(configuration, threads, extent);
  } catch (error) {
    withoutSamples = (error as Error).message;
  }
  return { name: configuration.name, ...timed, sampled, withoutSamples };
}

/** Where a training step spends its time. */
export async function profileSteps({ quick, only, threads }: BenchOptions): Promise<ProfileReport> {
  const extent = quick ? { clocked: 1, sampled: 2 } : { clocked: 5, sampled: 10 };
  const results: ProfileResult[] = [];
  for (const configuration of configurationsNamed(only)) {
    process.stderr.write(`${configuration.name} ...\n`);
    results.push(await profile(configuration, threads, extent));
  }
  return { threads, results };
}
