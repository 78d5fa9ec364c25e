import { checkCount, checkRange, LRScheduler, type Schedulable } from "./scheduler.js";

/** Multiplies the learning rate by `factor` (1/3 by default) for `totalIters` steps (5 by default), then not. */
export class ConstantLR extends LRScheduler {
  readonly factor: number;
  readonly totalIters: number;

  constructor(
    optimizer: Schedulable,
    { factor = 1 / 3, totalIters = 5 }: { factor?: number; totalIters?: number } = {},
  ) {
    super(optimizer);
    checkRange("ConstantLR", "factor", factor, [0, 1]);
    checkCount("ConstantLR", "totalIters", totalIters, 0);
    this.factor = factor;
    this.totalIters = totalIters;
    this.takeInitialStep();
  }

  protected override computeLrs(): number[] {
    if (this.lastEpoch === 0) {
      return this.scaledLrs(this.factor);
    }
    return this.lastEpoch === this.totalIters ? this.scaledLrs(1 / this.factor) : this.currentLrs();
  }

  protected override closedFormLrs(): number[] {
    const done = this.lastEpoch >= this.totalIters ? 1 : 0;
    return this.baseLrs.map((base) => base * (this.factor + done * (1 - this.factor)));
  }

  protected override settings(): Record<string, unknown> {
    return { factor: this.factor, total_iters: this.totalIters };
  }
}

/** Goes linearly from `startFactor` (1/3 by default) to `endFactor` (1) times the learning rate in `totalIters` (5) steps. */
export class LinearLR extends LRScheduler {
  readonly startFactor: number;
  readonly endFactor: number;
  readonly totalIters: number;

  constructor(
    optimizer: Schedulable,
    {
      startFactor = 1 / 3,
      endFactor = 1,
      totalIters = 5,
    }: { startFactor?: number; endFactor?: number; totalIters?: number } = {},
  ) {
    super(optimizer);
    checkRange("LinearLR", "startFactor", startFactor, [Number.MIN_VALUE, 1]);
    checkRange("LinearLR", "endFactor", endFactor, [0, 1]);
    checkCount("LinearLR", "totalIters", totalIters);
    this.startFactor = startFactor;
    this.endFactor = endFactor;
    this.totalIters = totalIters;
    this.takeInitialStep();
  }

  protected override computeLrs(): number[] {
    const { startFactor, endFactor, totalIters, lastEpoch } = this;
    if (lastEpoch === 0) {
      return this.scaledLrs(startFactor);
    }
    if (this.initial || lastEpoch > totalIters) {
      return this.currentLrs();
    }
    const change = endFactor - startFactor;
    return this.scaledLrs(1 + change / (totalIters * startFactor + (lastEpoch - 1) * change));
  }

  protected override closedFormLrs(): number[] {
    const { startFactor, endFactor, totalIters, lastEpoch } = this;
    const done = Math.min(totalIters, lastEpoch);
    return this.baseLrs.map(
      (base) => base * (startFactor + ((endFactor - startFactor) * done) / totalIters),
    );
  }

  protected override settings(): Record<string, unknown> {
    return {
      start_factor: this.startFactor,
      end_factor: this.endFactor,
      total_iters: this.totalIters,
    };
  }
}
