import { checkCount, LRScheduler, type Schedulable } from "./scheduler.js";

/**
 * Follows half a cosine from the learning rate down to `etaMin` (0 by default) in `tMax` steps, and back up after
 * (Loshchilov and Hutter, 2016). {@link WarmupCosineLR} stays down and warms up first.
 */
export class CosineAnnealingLR extends LRScheduler {
  readonly tMax: number;
  readonly etaMin: number;

  constructor(optimizer: Schedulable, { tMax, etaMin = 0 }: { tMax: number; etaMin?: number }) {
    super(optimizer);
    checkCount("CosineAnnealingLR", "tMax", tMax);
    this.tMax = tMax;
    this.etaMin = etaMin;
    this.takeInitialStep();
  }

  protected override computeLrs(): number[] {
    const { tMax, etaMin, lastEpoch } = this;
    if (this.initial) {
      return this.currentLrs();
    }
    if (this.stepCount === 1 && lastEpoch > 0) {
      return this.closedFormLrs();
    }
    const current = this.currentLrs();
    // At the turning point the ratio below would divide by zero.
    if ((lastEpoch - 1 - tMax) % (2 * tMax) === 0) {
      const rise = 1 - Math.cos(Math.PI / tMax);
      return current.map((lr, group) => lr + (((this.baseLrs[group] ?? lr) - etaMin) * rise) / 2);
    }
    const ratio =
      (1 + Math.cos((Math.PI * lastEpoch) / tMax)) /
      (1 + Math.cos((Math.PI * (lastEpoch - 1)) / tMax));
    return current.map((lr) => ratio * (lr - etaMin) + etaMin);
  }

  protected override closedFormLrs(): number[] {
    const height = 1 + Math.cos((Math.PI * this.lastEpoch) / this.tMax);
    return this.baseLrs.map((base) => this.etaMin + ((base - this.etaMin) * height) / 2);
  }

  protected override settings(): Record<string, unknown> {
    return { T_max: this.tMax, eta_min: this.etaMin };
  }
}
