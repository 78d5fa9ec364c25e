import {
  checkCount,
  checkRange,
  LRScheduler,
  type Schedulable,
  scheduleError,
} from "./scheduler.js";

/**
 * Schedules that warm up: at step t of `warmupSteps` w the learning rate is (t + 1) / (w + 1) of the group's, so that
 * the first step already learns and step w is the first at the full rate. Each rate depends on the step alone.
 */
abstract class WarmupScheduler extends LRScheduler {
  readonly warmupSteps: number;

  constructor(optimizer: Schedulable, warmupSteps: number) {
    super(optimizer);
    checkCount(this.constructor.name, "warmupSteps", warmupSteps, 0);
    this.warmupSteps = warmupSteps;
  }

  /** The learning rate `after` steps after the warm-up. */
  protected abstract rateAfter(after: number, base: number): number;

  protected override computeLrs(): number[] {
    const { lastEpoch, warmupSteps } = this;
    return this.baseLrs.map((base) =>
      lastEpoch < warmupSteps
        ? (base * (lastEpoch + 1)) / (warmupSteps + 1)
        : this.rateAfter(lastEpoch - warmupSteps, base),
    );
  }

  protected override settings(): Record<string, unknown> {
    return { warmup_steps: this.warmupSteps };
  }
}

/** Linear warm-up, then constant. */
export class WarmupLR extends WarmupScheduler {
  constructor(optimizer: Schedulable, { warmupSteps }: { warmupSteps: number }) {
    super(optimizer, warmupSteps);
    this.takeInitialStep();
  }

  protected override rateAfter(_after: number, base: number): number {
    return base;
  }
}

/** Linear warm-up, half a cosine down to `minLr` (0 by default) at `totalSteps`, and `minLr` from there on. */
export class WarmupCosineLR extends WarmupScheduler {
  readonly totalSteps: number;
  readonly minLr: number;

  constructor(
    optimizer: Schedulable,
    {
      warmupSteps,
      totalSteps,
      minLr = 0,
    }: { warmupSteps: number; totalSteps: number; minLr?: number },
  ) {
    super(optimizer, warmupSteps);
    checkCount("WarmupCosineLR", "totalSteps", totalSteps);
    if (totalSteps <= warmupSteps) {
      throw scheduleError(
        `WarmupCosineLR's totalSteps must be more than warmupSteps, ${warmupSteps}; got ${totalSteps}.`,
        "totalSteps",
      );
    }
    checkRange("WarmupCosineLR", "minLr", minLr, [0, Number.MAX_VALUE]);
    this.totalSteps = totalSteps;
    this.minLr = minLr;
    this.takeInitialStep();
  }

  protected override rateAfter(after: number, base: number): number {
    const done = Math.min(1, after / (this.totalSteps - this.warmupSteps));
    return this.minLr + 0.5 * (1 + Math.cos(Math.PI * done)) * (base - this.minLr);
  }

  protected override settings(): Record<string, unknown> {
    return { ...super.settings(), total_steps: this.totalSteps, min_lr: this.minLr };
  }
}

/** How {@link WarmupStableDecayLR} comes down. */
export type DecayShape = "linear" | "cosine" | "sqrt";

const DECAY: Readonly<Record<DecayShape, (done: number) => number>> = {
  linear: (done) => 1 - done,
  cosine: (done) => 0.5 * (1 + Math.cos(Math.PI * done)),
  sqrt: (done) => 1 - Math.sqrt(done),
};

/**
 * Linear warm-up, `stableSteps` at the full rate, then down to `minLr` (0 by default) in `decaySteps`
 * (MiniCPM, 2024). `shape` is `"linear"` by default; `"sqrt"` is 1 - sqrt (Hägele et al., 2024).
 */
export class WarmupStableDecayLR extends WarmupScheduler {
  readonly stableSteps: number;
  readonly decaySteps: number;
  readonly minLr: number;
  readonly shape: DecayShape;

  constructor(
    optimizer: Schedulable,
    {
      warmupSteps,
      stableSteps,
      decaySteps,
      minLr = 0,
      shape = "linear",
    }: {
      warmupSteps: number;
      stableSteps: number;
      decaySteps: number;
      minLr?: number;
      shape?: DecayShape;
    },
  ) {
    super(optimizer, warmupSteps);
    checkCount("WarmupStableDecayLR", "stableSteps", stableSteps, 0);
    checkCount("WarmupStableDecayLR", "decaySteps", decaySteps);
    checkRange("WarmupStableDecayLR", "minLr", minLr, [0, Number.MAX_VALUE]);
    if (!Object.hasOwn(DECAY, shape)) {
      throw scheduleError(
        `WarmupStableDecayLR's shape must be one of ${Object.keys(DECAY).join(", ")}; got ${shape}.`,
        "shape",
      );
    }
    this.stableSteps = stableSteps;
    this.decaySteps = decaySteps;
    this.minLr = minLr;
    this.shape = shape;
    this.takeInitialStep();
  }

  protected override rateAfter(after: number, base: number): number {
    const done = Math.min(1, Math.max(0, (after - this.stableSteps) / this.decaySteps));
    return this.minLr + DECAY[this.shape](done) * (base - this.minLr);
  }

  protected override settings(): Record<string, unknown> {
    return {
      ...super.settings(),
      stable_steps: this.stableSteps,
      decay_steps: this.decaySteps,
      min_lr: this.minLr,
      shape: this.shape,
    };
  }
}
