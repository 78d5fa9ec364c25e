import { availableParallelism } from "node:os";
import { join } from "node:path";
import { WaveGPTError } from "../../lib/errors.js";
import type { Settings, SettingsInput } from "../config/settings.js";
import { writeFileAtomic } from "../run/atomic.js";
import { holdsRun, prepareFolder } from "../run/folder.js";
import type { TrainEvent } from "../training/events.js";
import { loadTrainingText } from "../training/source.js";
import { planStudy, type StoredStudy, type StudyPlan, type StudySources } from "./plan.js";
import { WorkerPool } from "./pool.js";
import { type ResolvedArm, resolveArms } from "./resolve.js";
import { finalRecord, gatherResults, runPath, type StudyResults, TIMING_FILE } from "./results.js";
import type { StepTimes } from "./timing.js";

/** What a study tells its caller, as it happens. */
export type StudyEvent =
  | {
      readonly type: "study";
      readonly out: string;
      readonly title: string;
      readonly arms: readonly ResolvedArm[];
      readonly seeds: readonly number[];
      readonly runs: number;
      /** Of the runs, those finished before. */
      readonly kept: number;
      /** Seconds that the rest will take, by a few steps of each arm. */
      readonly seconds: number;
    }
  | {
      readonly type: "run";
      readonly arm: string;
      readonly seed: number;
      readonly event: TrainEvent;
    }
  | { readonly type: "timing"; readonly round: number; readonly rounds: number }
  | { readonly type: "notice"; readonly message: string };

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
  readonly results: StudyResults | null;
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
    const { steps, evalEvery, batchSize, blockSize } = resolved.settings;
    const step = times.find(({ id }) => id === resolved.arm.id)?.milliseconds[0] ?? 0;
    const evaluations = 1 + Math.ceil(steps! / evalEvery!);
    milliseconds += step * (steps! + (evaluations * heldOut) / (batchSize * blockSize) / 3);
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

/** @returns whether the run was finished */
async function trainRun(
  pool: WorkerPool,
  { resolved, seed, folder }: Run,
  { preset, overwrite }: { readonly preset: string; readonly overwrite: boolean },
  emit: (event: StudyEvent) => void,
): Promise<boolean> {
  const arm = resolved.arm.id;
  const given = {
    settings: { ...resolved.settings, seed },
    preset,
    out: folder,
    resume: !overwrite && holdsRun(folder),
    overwrite,
  };
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
 * Trains every arm of a study with every seed and gathers what they come to, in `results.json`. Runs
 * that are finished are kept, interrupted ones resumed.
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
  const { preset, study, seeds, out } = planned;
  const plan: StudyPlan = { ...planned, settings: complete(planned.settings, parallel) };
  const text = await loadTrainingText(plan.settings, null, (event) => {
    if (event.type === "notice") emit(event);
  });
  const arms = resolveArms(study, plan.arms, plan.settings, text.tokenizer.vocabSize);
  prepareFolder(out);
  const stored: StoredStudy = {
    ...{ study: study.name, arms: plan.arms.map(({ id }) => id), seeds, preset },
    settings: planned.settings,
  };
  writeFileAtomic(join(out, "compare.json"), `${JSON.stringify(stored, null, 2)}\n`);

  // One seed after another, so that a study cut short has every arm with the first seeds.
  const runs = seeds.flatMap((seed) =>
    arms.map((resolved): Run => ({ resolved, seed, folder: runPath(out, resolved.arm.id, seed) })),
  );
  const open = overwrite
    ? runs
    : runs.filter(({ resolved, folder }) => !finalRecord(folder, resolved.settings.steps!));

  using pool = new WorkerPool(parallel, signal);
  const openArms = new Set(open.map(({ resolved }) => resolved));
  const quick = (await timed(pool, openArms, 1, ESTIMATE_STEPS)) ?? [];
  const seconds = estimateSeconds(open, quick, text.val.length, parallel);
  const counts = { runs: runs.length, kept: runs.length - open.length };
  emit({ type: "study", out, title: study.title, arms, seeds, ...counts, seconds });

  const done = await Promise.all(
    open.map((run) => trainRun(pool, run, { preset, overwrite }, emit)),
  );
  let finished = done.every(Boolean);
  if (finished && timingRounds > 0) {
    const times = await timed(pool, arms, timingRounds, TIMING_STEPS, emit);
    finished = times !== null && times.length > 0;
    if (finished) writeFileAtomic(join(out, TIMING_FILE), `${JSON.stringify(times, null, 2)}\n`);
  }
  const results = gatherResults(plan, arms);
  if (results !== null) {
    writeFileAtomic(join(out, "results.json"), `${JSON.stringify(results, null, 2)}\n`);
  }
  return { out, finished, results };
}
