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
