import { checkCount, LRScheduler, type Schedulable } from "./scheduler.js";

/** Multiplies the learning rate by `gamma` (0.1 by default) every `stepSize` steps. */
export class StepLR extends LRScheduler {
  readonly stepSize: number;
  readonly gamma: number;

  constructor(
    optimizer: Schedulable,
    { stepSize, gamma = 0.1 }: { stepSize: number; gamma?: number },
  ) {
    super(optimizer);
    checkCount("StepLR", "stepSize", stepSize);
    this.stepSize = stepSize;
    this.gamma = gamma;
    this.takeInitialStep();
  }

  protected override computeLrs(): number[] {
    const due = this.lastEpoch !== 0 && this.lastEpoch % this.stepSize === 0;
    return due ? this.scaledLrs(this.gamma) : this.currentLrs();
  }

  protected override closedFormLrs(): number[] {
    return this.baseLrs.map(
      (base) => base * this.gamma ** Math.floor(this.lastEpoch / this.stepSize),
    );
  }

  protected override settings(): Record<string, unknown> {
    return { step_size: this.stepSize, gamma: this.gamma };
  }
}

/** Multiplies the learning rate by `gamma` (0.1 by default) at each of `milestones`; one listed twice counts twice. */
export class MultiStepLR extends LRScheduler {
  readonly milestones: readonly number[];
  readonly gamma: number;

  constructor(
    optimizer: Schedulable,
    { milestones, gamma = 0.1 }: { milestones: Iterable<number>; gamma?: number },
  ) {
    super(optimizer);
    this.milestones = [...milestones].sort((a, b) => a - b);
    for (const milestone of this.milestones) {
      checkCount("MultiStepLR", "milestones", milestone, 0);
    }
    this.gamma = gamma;
    this.takeInitialStep();
  }

  protected override computeLrs(): number[] {
    const count = this.milestones.filter((milestone) => milestone === this.lastEpoch).length;
    return count === 0 ? this.currentLrs() : this.scaledLrs(this.gamma ** count);
  }

  protected override closedFormLrs(): number[] {
    const passed = this.milestones.filter((milestone) => milestone <= this.lastEpoch).length;
    return this.baseLrs.map((base) => base * this.gamma ** passed);
  }

  protected override settings(): Record<string, unknown> {
    return { milestones: this.milestones, gamma: this.gamma };
  }
}

/** Multiplies the learning rate by `gamma` at every step. */
export class ExponentialLR extends LRScheduler {
  readonly gamma: number;

  constructor(optimizer: Schedulable, { gamma }: { gamma: number }) {
    super(optimizer);
    this.gamma = gamma;
    this.takeInitialStep();
  }

  protected override computeLrs(): number[] {
    return this.initial ? this.currentLrs() : this.scaledLrs(this.gamma);
  }

  protected override closedFormLrs(): number[] {
    return this.baseLrs.map((base) => base * this.gamma ** this.lastEpoch);
  }

  protected override settings(): Record<string, unknown> {
    return { gamma: this.gamma };
  }
}
