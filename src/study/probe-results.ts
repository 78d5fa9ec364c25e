import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { PROBE_TASKS } from "../probes/index.js";
import type { ProbeResult } from "../probes/train.js";
import { type Band, band } from "./band.js";
import type { StudyPlan } from "./plan.js";
import type { ResolvedArm } from "./resolve.js";
import { type Estimate, estimate } from "./statistics.js";

/** What one model came to in one task. */
export interface ProbedTask {
  readonly name: string;
  readonly seeds: number;
  /** Share of right answers from within the window. */
  readonly within: Estimate | null;
  /** Share of right answers by tokens beyond the window. */
  readonly beyond: Band;
}

export interface ProbedArm {
  readonly id: string;
  readonly title: string;
  readonly parameters: number;
  readonly tasks: readonly ProbedTask[];
}

/** All that a study of probes found so far. */
export interface ProbeResults {
  readonly study: string;
  readonly title: string;
  readonly steps: number;
  readonly seeds: readonly number[];
  readonly window: number;
  readonly tasks: readonly {
    readonly name: string;
    readonly title: string;
    readonly chance: number;
  }[];
  readonly arms: readonly ProbedArm[];
}

/** `probe.json` of a probe: what it came to, and after how many steps. */
export interface StoredProbe extends ProbeResult {
  readonly step: number;
}

/** The file of a probe. */
export function probePath(out: string, task: string, arm: string, seed: number): string {
  return join(out, `${task}-${arm}-seed-${seed}.json`);
}

/** A finished probe, or null where there is none of so many steps. */
export function readProbe(path: string, steps: number): ProbeResult | null {
  if (!existsSync(path)) return null;
  const stored = JSON.parse(readFileSync(path, "utf8")) as StoredProbe;
  return stored.step === steps ? stored : null;
}

/** Gathers a study's finished probes; null where there is none yet. */
export function gatherProbes(
  { study, settings, seeds, out }: StudyPlan,
  arms: readonly ResolvedArm[],
): ProbeResults | null {
  const probed = arms.map(({ arm, parameters }): ProbedArm => {
    const tasks = PROBE_TASKS.flatMap(({ name }): ProbedTask[] => {
      const done = seeds.flatMap(
        (seed) => readProbe(probePath(out, name, arm.id, seed), settings.steps!) ?? [],
      );
      return done.length === 0 ? [] : [taskOf(name, done)];
    });
    return { id: arm.id, title: arm.title, parameters, tasks };
  });
  if (probed.every(({ tasks }) => tasks.length === 0)) return null;
  return {
    study: study.name,
    title: study.title,
    steps: settings.steps!,
    seeds,
    window: settings.blockSize,
    tasks: PROBE_TASKS.map(({ name, title, chance }) => ({ name, title, chance })),
    arms: probed,
  };
}

function taskOf(name: string, done: readonly ProbeResult[]): ProbedTask {
  const share = ({ right, answers }: { right: number; answers: number }) => right / answers;
  const within = done.map(({ accuracy }) => share(accuracy.find(({ beyond }) => beyond === null)!));
  const beyond = done.map(({ accuracy }) =>
    accuracy.flatMap((one) =>
      one.beyond === null || one.answers === 0 ? [] : [[one.beyond, share(one)] as const],
    ),
  );
  return { name, seeds: done.length, within: estimate(within), beyond: band(beyond) };
}
