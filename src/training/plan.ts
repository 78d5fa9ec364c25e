import type { Settings } from "../config/settings.js";
import { UsageError } from "../config/usage-error.js";

/** How long a run is and when things happen in it, in optimizer steps. */
export interface Plan {
  readonly steps: number;
  readonly stepsPerEpoch: number;
  readonly evalEvery: number;
  /** 0: just after the last step. */
  readonly checkpointEvery: number;
  readonly warmupSteps: number;
  readonly milestones: readonly number[];
  readonly stepSize: number;
  readonly decaySteps: number;
}

/**
 * Works out a run's steps.
 * @param textSteps optimizer steps in which the training text is read once
 * @throws UsageError where the schedule does not fit into the run.
 */
export function planRun(settings: Settings, textSteps: number): Plan {
  const stepsPerEpoch = settings.stepsPerEpoch ?? textSteps;
  const steps = settings.steps ?? Math.max(1, Math.round(settings.epochs * stepsPerEpoch));
  const inSteps = (span: number) => (span < 1 ? Math.max(1, Math.round(span * steps)) : span);
  const warmupSteps = settings.warmupSteps === 0 ? 0 : inSteps(settings.warmupSteps);
  const milestones = settings.milestones.map(inSteps).sort((a, b) => a - b);
  const decaySteps = inSteps(settings.decaySteps);
  if (warmupSteps > 0 && warmupSteps >= steps) {
    throw new UsageError(
      `warmupSteps (--warmup-steps): expected fewer than the run's ${steps} steps, got ${warmupSteps}.`,
    );
  }
  if (settings.schedule === "warmup-stable-decay" && warmupSteps + decaySteps > steps) {
    throw new UsageError(
      `decaySteps (--decay-steps): warm-up (${warmupSteps}) and decay (${decaySteps}) are longer than the run's ${steps} steps.`,
    );
  }
  return {
    steps,
    stepsPerEpoch,
    evalEvery: settings.evalEvery ?? stepsPerEpoch,
    checkpointEvery: settings.checkpointEvery,
    warmupSteps,
    milestones,
    stepSize: inSteps(settings.stepSize),
    decaySteps,
  };
}
