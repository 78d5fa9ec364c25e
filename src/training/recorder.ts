import type { LanguageModel } from "../model/index.js";
import { type MetricRecord, MetricsFile } from "../run/metrics.js";
import type { MeterState } from "./meter.js";
import { LossMeter, Stopwatch } from "./meter.js";
import type { Plan } from "./plan.js";
import type { Progress } from "./snapshot.js";

/** Keeps a run's numbers: adds up losses, times the work, writes `metrics.jsonl`. */
export class Recorder {
  /** The learning rate of the last step. */
  lr: number;
  /** Times training since the last line of it; evaluations and the like in between are left out. */
  readonly training = new Stopwatch();

  readonly #file: MetricsFile;
  readonly #meter: LossMeter;
  #accounted = performance.now();

  constructor(
    private readonly run: {
      readonly path: string;
      readonly model: LanguageModel;
      readonly device: string;
      readonly plan: Plan;
      readonly tokensPerStep: number;
      readonly progress: Progress;
      readonly lr: number;
      /** The sum of losses that a resumed run's checkpoint holds; null begins a new file. */
      readonly meter: MeterState | null;
    },
  ) {
    const { step, evaluatedAt } = run.progress;
    this.lr = run.lr;
    // Lines after the checkpoint are written once more as the run goes on.
    this.#file = new MetricsFile(
      run.path,
      (line) => run.meter !== null && line.step <= (line.split === "val" ? evaluatedAt : step),
    );
    this.#meter = new LossMeter(run.device, run.meter ?? undefined);
  }

  /** Adds a step's loss; does not wait for its number. */
  add(...loss: Parameters<LossMeter["add"]>): void {
    this.#meter.add(...loss);
  }

  /** The mean loss since the last line; waits for the device. */
  meanLoss(): number {
    return this.#meter.mean();
  }

  /** Writes the line of {@link meanLoss}, and begins a new mean. */
  trained(loss: number, gradientNorm: number | null): MetricRecord {
    const speed = (this.#meter.count * this.run.tokensPerStep) / this.training.seconds;
    const line = {
      ...this.#line("train", loss, speed),
      ...(gradientNorm === null ? {} : { grad_norm: gradientNorm }),
    };
    this.#file.append(line);
    this.#meter.reset();
    this.training.reset();
    return line;
  }

  /** Writes the line of an evaluation. */
  evaluated(loss: number, tokensPerSecond: number, bits: number): MetricRecord {
    const line = { ...this.#line("val", loss, tokensPerSecond), bits_per_character: bits };
    this.#file.append(line);
    return line;
  }

  /** Puts all lines on the disk; what a checkpoint needs to go on from here. */
  settle(): MeterState {
    this.#account();
    this.#file.sync();
    return this.#meter.state();
  }

  [Symbol.dispose](): void {
    this.#file.close();
    this.#meter.dispose();
  }

  /** Adds the time since the last call to the run's. */
  #account(): void {
    const now = performance.now();
    this.run.progress.seconds += (now - this.#accounted) / 1000;
    this.#accounted = now;
  }

  #line(split: "train" | "val", loss: number, tokensPerSecond: number): MetricRecord {
    this.#account();
    const { progress, tokensPerStep, plan, model } = this.run;
    return {
      step: progress.step,
      split,
      loss,
      lr: this.lr,
      tokens: progress.step * tokensPerStep,
      tokens_per_second: Math.round(tokensPerSecond),
      alpha: model.alpha(),
      epoch: progress.step / plan.stepsPerEpoch,
      seconds: progress.seconds,
    };
  }
}
