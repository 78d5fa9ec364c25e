import { rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { WaveGPTError } from "../../lib/errors.js";
import type { Settings, SettingsInput } from "../config/settings.js";
import { writeFileAtomic } from "../run/atomic.js";
import { writing } from "../run/failure.js";
import { holdsRun, prepareFolder } from "../run/folder.js";
import { modelVocabulary } from "../training/setup.js";
import { loadTrainingText } from "../training/source.js";
import type { StudyEvent } from "./events.js";
import { finalRecord, runPath } from "./finished-run.js";
import { clearStudy } from "./folder.js";
import { writeStudyPage } from "./page.js";
import { planStudy, type StoredStudy, type StudyPlan, type StudySources } from "./plan.js";
import { WorkerPool } from "./pool.js";
import { POSITIONS_FILE, readPositions, type StoredPositions } from "./position-losses.js";
import type { ProbeResults } from "./probe-results.js";
import { type ResolvedArm, resolveArms } from "./resolve.js";
import { gatherResults, type StudyResults } from "./results.js";
import { runProbes } from "./run-probes.js";
import { TIMING_FILE } from "./step-times.js";
import type { StepTimes } from "./timing.js";

export interface StudyOptions extends StudySources {
  /** How many runs are trained side by side, in processes of their own. Default 1. */
  readonly parallel?: number | undefined;
  /** Rounds in which all arms' training steps are timed after the runs; default 0: they are not. */
  readonly timingRounds?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onEvent?: ((event: StudyEvent) => void) | undefined;
}

export interface StudyResult {
  readonly out: string;
  readonly finished: boolean;
  /** Null where no run was finished yet. */
  readonly results: StudyResults | ProbeResults | null;
}

/** Steps of each arm that the estimate of the study's time rests on. */
const ESTIMATE_STEPS = 3;
/** Steps of each arm in a round of the timing. */
const TIMING_STEPS = 5;
/** Evaluations of a run after the one before its first step, unless settings say otherwise. */
const EVALUATIONS = 5;

interface Run {
  readonly resolved: ResolvedArm;
  readonly seed: number;
  readonly folder: string;
}

/** Shares threads out among runs side by side and spreads evaluations over a run, where settings leave it open. */
function complete(settings: Settings, parallel: number): Settings {
  const share = Math.max(1, Math.floor(availableParallelism() / parallel));
  return {
    ...settings,
    threads: settings.threads === 0 && parallel > 1 ? share : settings.threads,
    evalEvery: settings.evalEvery ?? Math.max(1, Math.ceil(settings.steps! / EVALUATIONS)),
  };
}

/** Seconds that runs take, by the time of a few steps of each arm; evaluating costs a third of training. */
function estimateSeconds(
  runs: readonly Run[],
  times: readonly StepTimes[],
  heldOut: number,
  parallel: number,
): number {
  let milliseconds = 0;
  for (const { resolved } of runs) {
    const { steps, evalEvery, evalBatches, batchSize, blockSize } = resolved.settings;
    const batches = evalBatches === 0 ? heldOut / (batchSize * blockSize) : evalBatches;
    const step = times.find(({ id }) => id === resolved.arm.id)?.milliseconds[0] ?? 0;
    const evaluations = 1 + Math.ceil(steps! / evalEvery!);
    milliseconds += step * (steps! + (evaluations * batches) / 3);
  }
  return milliseconds / 1000 / parallel;
}

/** Has the arms' steps timed; nothing else of the study runs meanwhile. */
async function timed(
  pool: WorkerPool,
  arms: Iterable<ResolvedArm>,
  rounds: number,
  steps: number,
  emit: (event: StudyEvent) => void = () => {},
): Promise<readonly StepTimes[] | null> {
  const given = {
    arms: Array.from(arms, ({ arm, settings }) => ({ id: arm.id, settings })),
    rounds,
    steps,
  };
  return pool.run("time", given, (event) => emit({ type: "timing", ...event }));
}

/** Takes the losses by position of the runs that lack them. @returns whether all have them */
async function lookAtPositions(pool: WorkerPool, runs: readonly Run[]): Promise<boolean> {
  const done = await Promise.all(
    runs
      .filter(({ resolved }) => resolved.arm.positions === true)
      .map(async ({ resolved, folder }) => {
        const { device, threads, steps } = resolved.settings;
        if (readPositions(folder, steps!) !== null) return true;
        const losses = await pool.run("positions", { path: folder, device, threads });
        // A text that is too short has none.
        if (losses === null) return !pool.aborted;
        const stored: StoredPositions = { step: steps!, ...losses };
        writeFileAtomic(join(folder, POSITIONS_FILE), `${JSON.stringify(stored)}\n`);
        return true;
      }),
  );
  return done.every(Boolean);
}

/** @returns whether the run was finished */
async function trainRun(
  pool: WorkerPool,
  { resolved, seed, folder }: Run,
  preset: string,
  emit: (event: StudyEvent) => void,
): Promise<boolean> {
  const arm = resolved.arm.id;
  const resume = holdsRun(folder);
  // What a run left that was killed before it had a configuration is no run yet.
  if (!resume) writing(folder, () => rmSync(folder, { recursive: true, force: true }));
  const given = { settings: { ...resolved.settings, seed }, preset, out: folder, resume };
  try {
    const result = await pool.run("train", given, (event) =>
      emit({ type: "run", arm, seed, event }),
    );
    return result?.finished ?? false;
  } catch (error) {
    if (!(error instanceof WaveGPTError)) throw error;
    throw new WaveGPTError(error.code, `${arm}, seed ${seed}: ${error.message}`);
  }
}

/**
 * Runs a study: trains every arm with every seed and gathers what they come to, in `results.json` and
 * `report.html`. Runs that are finished are kept, interrupted ones resumed.
 *
 * @throws UsageError for settings, arms, seeds or a folder that cannot be used
 * @throws WaveGPTError as training does
 */
export async function runStudy(
  given: SettingsInput,
  options: StudyOptions = {},
): Promise<StudyResult> {
  const { signal, parallel = 1, timingRounds = 0, overwrite = false } = options;
  const emit = options.onEvent ?? (() => {});
  const planned = planStudy(given, options);
  const { study, seeds, preset, out } = planned;
  const plan: StudyPlan = { ...planned, settings: complete(planned.settings, parallel) };
  if (overwrite) clearStudy(out);
  prepareFolder(out);
  const stored: StoredStudy = {
    ...{ study: study.name, arms: plan.arms.map(({ id }) => id), seeds, preset },
    settings: planned.settings,
  };
  writeFileAtomic(join(out, "compare.json"), `${JSON.stringify(stored, null, 2)}\n`);
  using pool = new WorkerPool(parallel, signal);
  const { finished, results } = study.probes
    ? await runProbes(pool, plan, emit)
    : await runTraining(pool, plan, timingRounds, emit);
  if (results !== null) {
    writeFileAtomic(join(out, "results.json"), `${JSON.stringify(results, null, 2)}\n`);
    writeStudyPage(join(out, "report.html"), results);
  }
  return { out, finished, results };
}

async function runTraining(
  pool: WorkerPool,
  plan: StudyPlan,
  timingRounds: number,
  emit: (event: StudyEvent) => void,
): Promise<{ finished: boolean; results: StudyResults | null }> {
  const { preset, study, seeds, out } = plan;
  const text = await loadTrainingText(plan.settings, null, (event) => {
    if (event.type === "notice") emit(event);
  });
  const vocabSize = modelVocabulary(plan.settings, text.tokenizer);
  const arms = resolveArms(study, plan.arms, plan.settings, vocabSize);
  // One seed after another, so that a study cut short has every arm with the first seeds.
  const runs = seeds.flatMap((seed) =>
    arms.map((resolved): Run => ({ resolved, seed, folder: runPath(out, resolved.arm.id, seed) })),
  );
  const open = runs.filter(
    ({ resolved, folder }) => !finalRecord(folder, resolved.settings.steps!),
  );
  const openArms = new Set(open.map(({ resolved }) => resolved));
  const quick = (await timed(pool, openArms, 1, ESTIMATE_STEPS)) ?? [];
  const seconds = estimateSeconds(open, quick, text.val.length, pool.size);
  const counts = { runs: runs.length, kept: runs.length - open.length };
  emit({ type: "study", out, title: study.title, arms, seeds, ...counts, seconds });

  const done = await Promise.all(open.map((run) => trainRun(pool, run, preset, emit)));
  let finished = done.every(Boolean) && (await lookAtPositions(pool, runs));
  if (finished && timingRounds > 0) {
    const times = await timed(pool, arms, timingRounds, TIMING_STEPS, emit);
    finished = times !== null && times.length > 0;
    if (finished) writeFileAtomic(join(out, TIMING_FILE), `${JSON.stringify(times, null, 2)}\n`);
  }
  return { finished, results: gatherResults(plan, arms) };
}
