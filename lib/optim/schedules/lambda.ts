import { LRScheduler, type Schedulable, scheduleError } from "./scheduler.js";

/** Multiplies each group's learning rate by a function of the step; one function for all groups, or one for each. */
export class LambdaLR extends LRScheduler {
  readonly #factors: readonly ((step: number) => number)[];

  constructor(
    optimizer: Schedulable,
    factor: ((step: number) => number) | readonly ((step: number) => number)[],
  ) {
    super(optimizer);
    const groups = optimizer.paramGroups.length;
    this.#factors = typeof factor === "function" ? Array(groups).fill(factor) : [...factor];
    if (this.#factors.length !== groups) {
      throw scheduleError(
        `LambdaLR needs ${groups} functions, one for each group; got ${this.#factors.length}.`,
      );
    }
    this.takeInitialStep();
  }

  protected override computeLrs(): number[] {
    return this.baseLrs.map((base, group) => base * (this.#factors[group]?.(this.lastEpoch) ?? 1));
  }
}
