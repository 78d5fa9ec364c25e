import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Settings } from "../../src/config/settings.js";
import type { BenchOptions } from "../options.js";
import { takeTurns } from "../pairs/turns.js";
import { Worker } from "../pairs/worker.js";
import { threadEnvironment, writeTokens } from "./sides.js";

/** Trainings of our own side alone. */
export interface Entrant {
  readonly settings: Settings;
  readonly threads: number;
  /** How many processes do the same at once; default 1. */
  readonly processes?: number;
  /** Set for its processes. */
  readonly environment?: Readonly<Record<string, string>>;
}

/**
 * Trainings that take turns: milliseconds a step of each, by round.
 *
 * @param beforeRound - waited for before each round
 */
export async function inTurns(
  trainings: readonly Entrant[],
  vocabulary: number,
  { quick }: BenchOptions,
  rounds: number,
  beforeRound: () => Promise<void> = async () => {},
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
    for (const [at, entrant] of trainings.entries()) {
      const { settings, threads, processes = 1, environment = {} } = entrant;
      workers.push([]);
      for (let process = 0; process < processes; process++) {
        const worker = Worker.node("TypeScript", "step/worker.js", {
          ...threadEnvironment(threads),
          ...environment,
        });
        workers[at]!.push(worker);
        await worker.ask("prepare", { settings, vocabulary, tokens, weights: "", threads });
      }
      await train(at, quick ? 1 : 10);
      const each = (await train(at, 2)) / 2;
      steps.push(quick ? 1 : Math.max(1, Math.ceil(0.2 / each)));
    }
    const names = trainings.map((_, at) => String(at));
    let begun = -1;
    const measured = await takeTurns(names, rounds, async (name, round) => {
      if (round !== begun) await beforeRound();
      begun = round;
      const at = Number(name);
      return ((await train(at, steps[at]!)) * 1000) / steps[at]!;
    });
    return names.map((name) => measured[name]!);
  } finally {
    await Promise.all(workers.flat().map((worker) => worker.stop()));
    rmSync(folder, { recursive: true, force: true });
  }
}
