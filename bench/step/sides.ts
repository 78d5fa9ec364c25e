import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { packageRoot } from "../../lib/package-root.js";
import { Random } from "../../src/data/random.js";
import { Worker } from "../pairs/worker.js";
import type { Configuration } from "./configurations.js";

/** What a training step is timed on; `composed` is ours without our kernels, by libtorch's operators. */
export const SIDES = ["TypeScript", "composed", "PyTorch eager", "torch.compile"] as const;
export type Side = (typeof SIDES)[number];
export type Other = Exclude<Side, "TypeScript">;

/** As many tokens as four fifths of Tiny Shakespeare. Which ones makes no difference to the time. */
const TOKENS = 892_315;
/** Steps without dropout whose losses must be the same on all sides. */
const CHECKED = 5;
/** How far losses may be apart: float32 sums in another order; bfloat16 keeps 8 bits. */
export const TOLERANCE = { float32: 1e-4, bfloat16: 2e-2 } as const;

export interface Versions {
  readonly libtorch: string;
  readonly torch: string;
  readonly python: string;
}

/** One configuration on all sides, ready to train, of which it is known that they compute the same. */
export interface Prepared {
  readonly workers: ReadonlyMap<Side, Worker>;
  /** Why a side is not among the workers. */
  readonly missing: ReadonlyMap<Side, string>;
  readonly versions: Versions;
  readonly parameters: number;
  readonly losses: Readonly<Partial<Record<Side, readonly number[]>>>;
  /** The largest difference of any side's loss from ours. */
  readonly difference: number;
  stop(): Promise<void>;
}

interface Our {
  readonly libtorch: string;
  readonly threads: number;
  readonly config: unknown;
  readonly parameters: number;
  readonly milestones: readonly number[];
}

interface Their {
  readonly torch: string;
  readonly python: string;
  readonly threads: number;
  readonly parameters: number;
}

/** What gives a process so many threads. */
export function threadEnvironment(threads: number): Record<string, string> {
  return { OMP_NUM_THREADS: String(threads), MKL_NUM_THREADS: String(threads) };
}

/** A text for all sides. */
export function writeTokens(file: string, vocabulary: number): void {
  const random = new Random(0);
  writeFileSync(
    file,
    Uint16Array.from({ length: TOKENS }, () => random.below(vocabulary)),
  );
}

/**
 * Starts a process for each side, gives all the same weights, and compares their losses over a few steps.
 *
 * @throws Error where two sides do not compute the same
 */
export async function prepare(
  { name, vocabulary, settings }: Configuration,
  threads: number,
  against: readonly Other[],
  extraEnvironment: Readonly<Record<string, string>> = {},
): Promise<Prepared> {
  const folder = mkdtempSync(path.join(tmpdir(), "wavegpt-bench-"));
  const file = (base: string) => path.join(folder, base);
  const [tokens, weights, batches] = [
    "tokens.u16",
    "weights.safetensors",
    "batches.safetensors",
  ].map(file) as [string, string, string];
  // What torch.compile made is kept: a second run need not wait for g++.
  const compiled = path.join(packageRoot(), "build", "bench", "torchinductor");
  mkdirSync(compiled, { recursive: true });
  const environment = {
    ...threadEnvironment(threads),
    TORCHINDUCTOR_CACHE_DIR: compiled,
    ...extraEnvironment,
  };
  const workers = new Map<Side, Worker>();
  const stop = async () => {
    await Promise.all([...workers.values()].map((worker) => worker.stop()));
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    writeTokens(tokens, vocabulary);
    const ours = Worker.node("TypeScript", "step/worker.js", environment);
    workers.set("TypeScript", ours);
    const given = { threads, tokens, weights };
    const our = await ours.ask<Our>("prepare", { ...given, vocabulary, settings });
    await ours.ask("save", { batches, count: CHECKED });
    const missing = new Map<Side, string>();
    const losses: Partial<Record<Side, number[]>> = {
      TypeScript: await ours.ask<number[]>("check", { batches }),
    };
    let versions: Versions | null = null;
    let difference = 0;
    const startOther = async (side: Other): Promise<Pick<Our, "threads" | "parameters">> => {
      if (side === "composed") {
        const worker = Worker.node(side, "step/worker.js", environment);
        workers.set(side, worker);
        const composed = { ...settings, kernels: "composed" };
        return worker.ask<Our>("prepare", { ...given, vocabulary, settings: composed });
      }
      const worker = Worker.python(side, "step.py", environment);
      workers.set(side, worker);
      const their = await worker.ask<Their>("prepare", {
        ...given,
        settings: { ...settings, milestones: our.milestones },
        config: our.config,
        compiled: side === "torch.compile",
      });
      versions = { libtorch: our.libtorch, torch: their.torch, python: their.python };
      return their;
    };
    for (const side of against) {
      const their = await startOther(side);
      const worker = workers.get(side)!;
      if (their.threads !== our.threads || their.parameters !== our.parameters) {
        throw new Error(
          `${name}: expected ${our.threads} threads and ${our.parameters} parameters as in TypeScript, ${side} has ${their.threads} and ${their.parameters}`,
        );
      }
      try {
        losses[side] = await worker.ask<number[]>("check", { batches });
      } catch (error) {
        if (side !== "torch.compile") throw error;
        // It needs a C++ compiler and Python's headers, which not every machine has.
        missing.set(side, (error as Error).message.trim().split("\n").at(-1)!);
        workers.delete(side);
        await worker.stop();
        continue;
      }
      losses[side].forEach((loss, step) => {
        const apart = Math.abs(loss - losses.TypeScript![step]!);
        difference = Math.max(difference, apart);
        if (!(apart <= TOLERANCE[settings.dtype])) {
          throw new Error(
            `${name}: expected ${side} to have the loss of TypeScript in step ${step}, ${losses.TypeScript![step]}, got ${loss}`,
          );
        }
      });
    }
    return {
      workers,
      missing,
      versions: versions!,
      parameters: our.parameters,
      losses,
      difference,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
