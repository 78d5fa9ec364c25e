import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { BenchOptions } from "../options.js";
import { Worker } from "../pairs/worker.js";
import { CONFIGURATIONS, type Configuration, isNamed } from "../step/configurations.js";
import { prepare, type Side, writeTokens } from "../step/sides.js";
import { table } from "../table.js";
import { type LibraryShare, librariesOf } from "./libraries.js";
import type { NativeUse } from "./native.js";

export interface ProfileReport {
  readonly name: string;
  readonly threads: number;
  readonly steps: number;
  /** Of one step: all of it, and what is spent inside native calls. */
  readonly milliseconds: number;
  readonly nativeMilliseconds: number;
  /** Of one step, the longest first. */
  readonly uses: readonly NativeUse[];
  readonly libraries: Readonly<Partial<Record<Side, readonly LibraryShare[]>>>;
  /** Why `libraries` is empty. */
  readonly withoutLibraries: string | null;
}

async function nativeCalls(
  { settings }: Configuration,
  threads: number,
  steps: number,
): Promise<{ milliseconds: number; uses: NativeUse[] }> {
  const folder = mkdtempSync(path.join(tmpdir(), "wavegpt-bench-"));
  const worker = Worker.node("TypeScript", "profile/worker.js", {});
  try {
    const tokens = path.join(folder, "tokens.u16");
    writeTokens(tokens);
    await worker.ask("prepare", { settings, tokens, threads });
    await worker.ask("train", { steps });
    return await worker.ask("train", { steps });
  } finally {
    await worker.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function libraries(
  configuration: Configuration,
  threads: number,
  seconds: number,
): Promise<Partial<Record<Side, LibraryShare[]>>> {
  const prepared = await prepare(configuration, threads, ["PyTorch eager"]);
  try {
    const shares: Partial<Record<Side, LibraryShare[]>> = {};
    for (const [side, worker] of prepared.workers) {
      await worker.ask("begin");
      const perStep = (await worker.ask<number>("train", { steps: 10 })) / 10;
      const training = worker.ask("train", { steps: Math.ceil((seconds + 2) / perStep) });
      try {
        shares[side] = await librariesOf(worker.pid, seconds);
      } finally {
        await training;
      }
    }
    return shares;
  } finally {
    await prepared.stop();
  }
}

/** Where a training step spends its time. */
export async function profileStep({ quick, only, threads }: BenchOptions): Promise<ProfileReport> {
  const wanted = only === "" ? "wavegpt float32" : only;
  const configuration = CONFIGURATIONS.find((one) => isNamed(one, wanted));
  if (configuration === undefined) throw new Error(`--only: no training is named ${only}`);
  const steps = quick ? 3 : 50;
  const { milliseconds, uses } = await nativeCalls(configuration, threads, steps);
  const perStep = uses
    .map((use) => ({
      name: use.name,
      calls: use.calls / steps,
      milliseconds: use.milliseconds / steps,
    }))
    .sort((a, b) => b.milliseconds - a.milliseconds);
  let shares: ProfileReport["libraries"] = {};
  let withoutLibraries: string | null = null;
  try {
    shares = await libraries(configuration, threads, quick ? 2 : 10);
  } catch (error) {
    withoutLibraries = (error as Error).message;
  }
  return {
    name: configuration.name,
    threads,
    steps,
    milliseconds: milliseconds / steps,
    nativeMilliseconds: perStep.reduce((sum, use) => sum + use.milliseconds, 0),
    uses: perStep,
    libraries: shares,
    withoutLibraries,
  };
}

const SHOWN = 16;
/** Percent of CPU time under which a library is not shown. */
const LEAST = 0.5;

export function formatProfile(report: ProfileReport): string {
  const { name, threads, steps, milliseconds, nativeMilliseconds, uses } = report;
  const javascript = milliseconds - nativeMilliseconds;
  const calls = uses.reduce((sum, use) => sum + use.calls, 0);
  const rows = uses
    .slice(0, SHOWN)
    .map((use) => [
      `\`${use.name}\``,
      use.calls.toFixed(0),
      use.milliseconds.toFixed(3),
      `${((100 * use.milliseconds) / milliseconds).toFixed(1)} %`,
    ]);
  const rest = uses.slice(SHOWN);
  const sum = (key: "calls" | "milliseconds") => rest.reduce((total, use) => total + use[key], 0);
  rows.push([
    `${rest.length} others`,
    sum("calls").toFixed(0),
    sum("milliseconds").toFixed(3),
    `${((100 * sum("milliseconds")) / milliseconds).toFixed(1)} %`,
  ]);
  const parts = [
    `## Where a training step spends its time\n`,
    `${name}, ${threads} threads, ${steps} steps with a clock around each native call. A step takes ${milliseconds.toFixed(1)} ms: ${nativeMilliseconds.toFixed(1)} ms inside ${calls.toFixed(0)} native calls, ${javascript.toFixed(2)} ms (${((100 * javascript) / milliseconds).toFixed(1)} %) in JavaScript, clocks included.\n`,
    table(["native call", "calls/step", "ms/step", "of the step"], rows),
    "",
  ];
  if (report.withoutLibraries !== null) {
    parts.push(`Not measured by library: ${report.withoutLibraries}`);
    return parts.join("\n");
  }
  const sides = Object.keys(report.libraries) as Side[];
  const names = [
    ...new Set(
      sides.flatMap((side) =>
        report.libraries[side]!.filter(({ percent }) => percent >= LEAST).map(
          ({ library }) => library,
        ),
      ),
    ),
  ];
  const share = (side: Side, library: string) =>
    report.libraries[side]!.find((one) => one.library === library)?.percent ?? 0;
  parts.push(
    `CPU time of all threads by library, percent (perf):\n`,
    table(
      ["library", ...sides],
      names.map((library) => [
        `\`${library}\``,
        ...sides.map((side) => share(side, library).toFixed(1)),
      ]),
    ),
  );
  return parts.join("\n");
}
