import { PROBE_TASKS, PROBE_VOCABULARY } from "../probes/index.js";
import { writeFileAtomic } from "../run/atomic.js";
import type { StudyEvent } from "./events.js";
import type { StudyPlan } from "./plan.js";
import type { WorkerPool } from "./pool.js";
import {
  gatherProbes,
  type ProbeResults,
  probePath,
  readProbe,
  type StoredProbe,
} from "./probe-results.js";
import { resolveArms } from "./resolve.js";

/**
 * Trains every arm on every task with every seed; those that are finished are kept. An unfinished one
 * begins anew: it takes a minute at most.
 */
export async function runProbes(
  pool: WorkerPool,
  plan: StudyPlan,
  emit: (event: StudyEvent) => void,
): Promise<{ finished: boolean; results: ProbeResults | null }> {
  const { study, seeds, out, settings } = plan;
  const arms = resolveArms(study, plan.arms, settings, PROBE_VOCABULARY);
  const all = seeds.flatMap((seed) =>
    PROBE_TASKS.flatMap(({ name: task }) =>
      arms.map((resolved) => {
        const path = probePath(out, task, resolved.arm.id, seed);
        return { task, resolved, seed, path };
      }),
    ),
  );
  const open = all.filter(({ path }) => readProbe(path, settings.steps!) === null);
  emit({
    type: "study",
    ...{ out, title: study.title, arms, seeds },
    ...{ runs: all.length, kept: all.length - open.length, seconds: null },
  });
  const done = await Promise.all(
    open.map(async ({ task, resolved, seed, path }) => {
      const which = { arm: resolved.arm.id, seed, task };
      const result = await pool.run(
        "probe",
        { task, settings: { ...resolved.settings, seed } },
        (event) => emit({ type: "probe", ...which, ...event }),
      );
      if (result === null) return false;
      const stored: StoredProbe = { step: settings.steps!, ...result };
      writeFileAtomic(path, `${JSON.stringify(stored)}\n`);
      emit({ type: "probed", ...which, ...result });
      return true;
    }),
  );
  return { finished: done.every(Boolean), results: gatherProbes(plan, arms) };
}
