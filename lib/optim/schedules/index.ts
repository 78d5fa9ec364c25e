export { ChainedScheduler, SequentialLR } from "./composition.js";
export { CosineAnnealingLR } from "./cosine.js";
export { ExponentialLR, MultiStepLR, StepLR } from "./decay.js";
export { ConstantLR, LinearLR } from "./factor.js";
export { LambdaLR } from "./lambda.js";
export { LRScheduler, type Schedulable, type SchedulerState } from "./scheduler.js";
export { type DecayShape, WarmupCosineLR, WarmupLR, WarmupStableDecayLR } from "./warmup.js";
