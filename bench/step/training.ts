import { readFileSync } from "node:fs";
import { type optim, safetensors, type Tensor, torch } from "../../lib/index.js";
import type { Settings } from "../../src/config/settings.js";
import { type Batch, DataLoader } from "../../src/data/index.js";
import type { LanguageModel } from "../../src/model/index.js";
import { LossMeter } from "../../src/training/meter.js";
import { type Plan, planRun } from "../../src/training/plan.js";
import { precisionOf } from "../../src/training/precision.js";
import { createSchedule } from "../../src/training/schedule.js";
import { buildModel, buildOptimizer } from "../../src/training/setup.js";
import { trainStep } from "../../src/training/step.js";

interface Trained {
  readonly loader: DataLoader;
  readonly plan: Plan;
  readonly optimizer: optim.AdamW;
  readonly schedule: optim.schedules.LRScheduler;
}

/** A run as `src/train.ts` makes it, of the same parts, without reports. */
export class Training {
  readonly model: LanguageModel;
  readonly #settings: Settings;
  readonly #tokens: Uint16Array;
  readonly #meter = new LossMeter("cpu");
  #trained: Trained;

  /** @param tokensFile - the text's tokens, 16 bits each */
  constructor(settings: Settings, vocabulary: number, tokensFile: string) {
    const bytes = readFileSync(tokensFile);
    this.#settings = settings;
    this.#tokens = new Uint16Array(new Uint8Array(bytes).buffer);
    torch.manualSeed(settings.seed);
    this.model = buildModel(settings, vocabulary, "cpu");
    this.#trained = this.#fresh();
  }

  get plan(): Plan {
    return this.#trained.plan;
  }

  /** Writes what all sides start from: this model's weights, and batches to compare losses on. */
  save(weightsFile: string, batchesFile: string, batches: number): void {
    using _ = torch.scope();
    safetensors.save(weightsFile, this.model.stateDict());
    const drawn = Array.from({ length: batches }, () => this.#trained.loader.next());
    const all = (part: "x" | "previous" | "y") => torch.stack(drawn.map((batch) => batch[part]));
    safetensors.save(batchesFile, { x: all("x"), previous: all("previous"), y: all("y") });
  }

  /** The weights of a file and a fresh optimizer, with dropout or without. */
  begin(weightsFile: string, train: boolean): void {
    using _ = torch.scope();
    this.model.loadStateDict(safetensors.load(weightsFile));
    this.model.train(train);
    this.model.zeroGrad();
    this.#trained.optimizer.dispose();
    this.#trained = this.#fresh();
  }

  /** The losses of a step on each batch of a file. */
  losses(batchesFile: string): number[] {
    using _ = torch.scope();
    const { x, previous, y } = safetensors.load(batchesFile) as Record<string, Tensor>;
    const { batchSize: rows, blockSize } = this.#settings;
    return Array.from({ length: x!.size(0) }, (_, at) =>
      this.#step({
        x: x!.at(at),
        previous: previous!.at(at),
        previousMask: null,
        y: y!.at(at),
        rows,
        targets: rows * blockSize,
      }).number(),
    );
  }

  /** A step on the text's next batch. */
  next(): void {
    using _ = torch.scope();
    this.#step(this.#trained.loader.next());
  }

  #step(batch: Batch): Tensor {
    const { optimizer, schedule } = this.#trained;
    const precision = precisionOf(this.#settings.dtype, "cpu");
    const { loss } = trainStep(this.model, optimizer, batch, { ...this.#settings, precision });
    this.#meter.add(loss);
    schedule.step();
    return loss;
  }

  #fresh(): Trained {
    const { batchSize, blockSize, seed } = this.#settings;
    const loader = new DataLoader({ tokens: this.#tokens, batchSize, blockSize, seed });
    const optimizer = buildOptimizer(this.#settings, this.model);
    const plan = planRun(this.#settings, loader.stepsPerEpoch);
    return { loader, plan, optimizer, schedule: createSchedule(optimizer, this.#settings, plan) };
  }
}
