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

  get tokensPerSecond(): number {
    return this.#secondsPerStep === 0 ? 0 : this.tokensPerStep / this.#secondsPerStep;
  }

  /** Seconds until the end of the run, evaluations included. */
  secondsLeft(step: number): number {
    const { steps, evalEvery } = this.plan;
    const evaluations = Math.ceil(steps / evalEvery) - Math.floor(step / evalEvery);
    return (steps - step) * this.#secondsPerStep + evaluations * this.#secondsPerEvaluation;
  }
}
