import { torch } from "../../lib/index.js";
import type { Batch } from "../data/index.js";
import type { LanguageModel } from "../model/index.js";
import { CarriedHistory } from "./carried-history.js";
import type { Precision } from "./precision.js";
import { nextTurn } from "./turn.js";

/** Batches that together count each target of a text, or of a sample of it, once. */
export interface EvaluationBatches {
  readonly batches: number;
  readonly targets: number;
  batch(index: number): Batch;
}

/**
 * The model's mean loss, in nats a token, over a loader's text: every target counts once and alike.
 * Dropout is off; nothing random is drawn.
 * @returns null where `signal` was aborted before the end
 */
export async function evaluate(
  model: LanguageModel,
  loader: EvaluationBatches,
  precision: Precision,
  signal?: AbortSignal,
): Promise<number | null> {
  const wasTraining = model.training;
  model.eval();
  using carried = new CarriedHistory(model);
  let sum = 0;
  try {
    for (let i = 0; i < loader.batches; i++) {
      if (signal?.aborted) return null;
      using _ = torch.scope();
      const batch = loader.batch(i);
      const { x, previous, previousMask, y, targets } = batch;
      const before = carried.before(batch);
      torch.noGrad(() =>
        precision(() => {
          if (targets === 0) return carried.after(model.readHistory(x, before));
          const options = { previous, previousMask, history: before, targets: y };
          const { loss, history } = model.forward(x, options);
          sum += loss.number() * targets;
          carried.after(history);
        }),
      );
      await nextTurn();
    }
  } finally {
    model.train(wasTraining);
  }
  return sum / loader.targets;
}
