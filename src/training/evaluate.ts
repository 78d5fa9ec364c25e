import { torch } from "../../lib/index.js";
import type { EvaluationLoader } from "../data/index.js";
import type { LanguageModel } from "../model/index.js";
import type { Precision } from "./precision.js";
import { nextTurn } from "./turn.js";

/**
 * The model's mean loss, in nats a token, over a loader's text: every target counts once and alike.
 * Dropout is off; nothing random is drawn.
 * @returns null where `signal` was aborted before the end
 */
export async function evaluate(
  model: LanguageModel,
  loader: EvaluationLoader,
  precision: Precision,
  signal?: AbortSignal,
): Promise<number | null> {
  const wasTraining = model.training;
  model.eval();
  let sum = 0;
  try {
    for (let i = 0; i < loader.batches; i++) {
      if (signal?.aborted) return null;
      using _ = torch.scope();
      const { x, previous, previousMask, y, targets } = loader.batch(i);
      const { loss } = torch.noGrad(() =>
        precision(() => model.forward(x, { previous, previousMask, targets: y })),
      );
      sum += loss.number() * targets;
      await nextTurn();
    }
  } finally {
    model.train(wasTraining);
  }
  return sum / loader.targets;
}
