import type { Plan } from "./plan.js";

/** How fast a run is, for the time it still needs. */
export class Pace {
  #secondsPerStep = 0;
  #secondsPerEvaluation = 0;

  constructor(
    private readonly plan: Plan,
    private readonly tokensPerStep: number,
  ) {}

  step(seconds: number): void {
    // An average over about the last 20 steps: steady to look at, and it follows a machine that slows down.
    this.#secondsPerStep =
      this.#secondsPerStep === 0 ? seconds : 0.95 * this.#secondsPerStep + 0.05 * seconds;
  }

  evaluation(seconds: number): void {
    this.#secondsPerEvaluation = seconds;
  }

  /** Where a run is after `step` steps, how fast, and how long it still takes, evaluations included. */
  at(step: number): { step: number; steps: number; tokensPerSecond: number; secondsLeft: number } {
    const { steps, evalEvery } = this.plan;
    const perStep = this.#secondsPerStep;
    const evaluations = Math.ceil(steps / evalEvery) - Math.floor(step / evalEvery);
    return {
      step,
      steps,
      tokensPerSecond: perStep === 0 ? 0 : this.tokensPerStep / perStep,
      secondsLeft: (steps - step) * perStep + evaluations * this.#secondsPerEvaluation,
    };
  }
}
