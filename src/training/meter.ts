import { type Tensor, torch } from "../../lib/index.js";

/** The part of a meter that a checkpoint keeps. */
export interface MeterState {
  readonly sum: number;
  readonly count: number;
}

/**
 * Adds up losses on the device, so that a step need not wait for its number.
 * Owns one scalar; dispose of it.
 */
export class LossMeter {
  readonly #sum: Tensor;
  #count = 0;

  constructor(device: string, state: MeterState = { sum: 0, count: 0 }) {
    this.#sum = torch.keep(torch.full([], state.sum, { dtype: "float32", device }));
    this.#count = state.count;
  }

  add(loss: Tensor): void {
    this.#sum.add_(loss);
    this.#count++;
  }

  /** The mean since the last {@link reset}; waits for the device. NaN where nothing was added. */
  mean(): number {
    return this.#sum.number() / this.#count;
  }

  get count(): number {
    return this.#count;
  }

  reset(): void {
    this.#sum.zero_();
    this.#count = 0;
  }

  state(): MeterState {
    return { sum: this.#sum.number(), count: this.#count };
  }

  dispose(): void {
    this.#sum.dispose();
  }
}

/** Adds up the time between starts and stops. */
export class Stopwatch {
  #running: number | null = null;
  #elapsed = 0;

  static started(): Stopwatch {
    const watch = new Stopwatch();
    watch.start();
    return watch;
  }

  start(): void {
    this.#running ??= performance.now();
  }

  stop(): void {
    this.#elapsed = this.seconds * 1000;
    this.#running = null;
  }

  reset(): void {
    this.#elapsed = 0;
    if (this.#running !== null) this.#running = performance.now();
  }

  get seconds(): number {
    const since = this.#running === null ? 0 : performance.now() - this.#running;
    return (this.#elapsed + since) / 1000;
  }
}
