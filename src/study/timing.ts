import { torch } from "../../lib/index.js";
import { drawOrder } from "../config/forms.js";
import type { Settings } from "../config/settings.js";
import { DataLoader, type DataLoaderOptions } from "../data/index.js";
import { CarriedHistory } from "../training/carried-history.js";
import { chooseDevice, type TrainingDevice } from "../training/device.js";
import { type Precision, precisionOf } from "../training/precision.js";
import { buildModel, buildOptimizer, modelVocabulary } from "../training/setup.js";
import { loadTrainingText } from "../training/source.js";
import { trainStep } from "../training/step.js";
import { nextTurn } from "../training/turn.js";

/** An arm whose training steps are timed. */
export interface TimedArm {
  readonly id: string;
  readonly settings: Settings;
}

/** What an arm's steps took, round by round. */
export interface StepTimes {
  readonly id: string;
  readonly tokensPerStep: number;
  /** Milliseconds a step, the mean over a round's steps. */
  readonly milliseconds: readonly number[];
}

/** Steps that are not counted: memory is being found and caches are being filled. */
const WARM_UP = 3;

/** A model in training, for as many steps as are asked for. */
class Training implements Disposable {
  readonly tokensPerStep: number;
  readonly #model: ReturnType<typeof buildModel>;
  readonly #optimizer: ReturnType<typeof buildOptimizer>;
  readonly #history: CarriedHistory;
  readonly #loader: DataLoader;
  readonly #precision: Precision;

  constructor(
    private readonly settings: Settings,
    tokens: DataLoaderOptions["tokens"],
    vocabSize: number,
    device: TrainingDevice,
  ) {
    const { batchSize, blockSize, seed, dtype } = settings;
    const order = drawOrder(settings);
    this.#model = buildModel(settings, vocabSize, device);
    this.#optimizer = buildOptimizer(settings, this.#model, device);
    this.#history = new CarriedHistory(this.#model);
    this.#loader = new DataLoader({ tokens, batchSize, blockSize, seed, order, device });
    this.#precision = precisionOf(dtype, device);
    this.tokensPerStep = batchSize * blockSize;
  }

  /** @returns the time that a step took, on average, in milliseconds */
  run(steps: number): number {
    const start = performance.now();
    for (let step = 0; step < steps; step++) {
      using _ = torch.scope();
      const options = { ...this.settings, precision: this.#precision, history: this.#history };
      const { loss } = trainStep(this.#model, this.#optimizer, this.#loader.next(), options);
      // The last step is done once its loss can be read.
      if (step === steps - 1) loss.number();
    }
    return (performance.now() - start) / steps;
  }

  [Symbol.dispose](): void {
    this.#loader[Symbol.dispose]();
    this.#history.dispose();
    this.#optimizer.dispose();
    this.#model.dispose();
  }
}

/**
 * Times the training steps of several arms in rounds: every arm takes its turn in each round, and the
 * order turns round from one round to the next, so that whatever else the machine does meets all alike.
 */
export async function timeSteps(
  given: { readonly arms: readonly TimedArm[]; readonly rounds: number; readonly steps: number },
  emit: (event: { round: number; rounds: number }) => void,
  signal: AbortSignal,
): Promise<StepTimes[]> {
  const { arms, rounds, steps } = given;
  const [first] = arms;
  if (first === undefined) return [];
  const device = chooseDevice(first.settings.device);
  const { threads } = first.settings;
  if (threads > 0) torch.setNumThreads(threads);
  const { train, tokenizer } = await loadTrainingText(first.settings, null, () => {});
  const sides = arms.map(({ id, settings }) => ({
    id,
    training: new Training(settings, train, modelVocabulary(settings, tokenizer), device),
    milliseconds: [] as number[],
  }));
  try {
    for (const { training } of sides) training.run(WARM_UP);
    for (let round = 0; round < rounds; round++) {
      for (const side of round % 2 === 0 ? sides : sides.toReversed()) {
        if (signal.aborted) return [];
        side.milliseconds.push(side.training.run(steps));
        await nextTurn();
      }
      emit({ round: round + 1, rounds });
    }
  } finally {
    for (const { training } of sides) training[Symbol.dispose]();
  }
  return sides.map(({ id, training, milliseconds }) => {
    return { id, tokensPerStep: training.tokensPerStep, milliseconds };
  });
}
