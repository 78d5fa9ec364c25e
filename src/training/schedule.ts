import { optim } from "../../lib/index.js";
import type { Settings } from "../config/settings.js";
import type { Plan } from "./plan.js";

/** The learning-rate schedule of a run, at its beginning; it sets the optimizer's first rate. */
export function createSchedule(
  optimizer: optim.Optimizer,
  settings: Settings,
  plan: Plan,
): optim.schedules.LRScheduler {
  const { gamma, minLearningRate: minLr } = settings;
  const { steps, warmupSteps, decaySteps, stepSize, milestones } = plan;
  switch (settings.schedule) {
    case "constant":
      return new optim.schedules.ConstantLR(optimizer, { factor: 1, totalIters: 0 });
    case "step":
      return new optim.schedules.StepLR(optimizer, { stepSize, gamma });
    case "multi-step":
      return new optim.schedules.MultiStepLR(optimizer, { milestones: [...milestones], gamma });
    case "linear-warmup":
      return new optim.schedules.WarmupLR(optimizer, { warmupSteps });
    case "cosine":
      return new optim.schedules.WarmupCosineLR(optimizer, {
        warmupSteps,
        totalSteps: steps,
        minLr,
      });
    case "warmup-stable-decay":
      return new optim.schedules.WarmupStableDecayLR(optimizer, {
        warmupSteps,
        stableSteps: steps - warmupSteps - decaySteps,
        decaySteps,
        minLr,
      });
  }
}

/**
 * The schedule after `step` steps, and the rate of the last of them. It is stepped there from the
 * beginning, so that a resumed run may be longer or shorter than it was.
 */
export function scheduleAt(
  step: number,
  optimizer: optim.Optimizer,
  settings: Settings,
  plan: Plan,
): { schedule: optim.schedules.LRScheduler; lr: number } {
  for (const group of optimizer.paramGroups) group.lr = settings.learningRate;
  const schedule = createSchedule(optimizer, settings, plan);
  let lr = schedule.lr;
  for (let done = 0; done < step; done++) {
    lr = schedule.lr;
    schedule.step();
  }
  return { schedule, lr };
}
