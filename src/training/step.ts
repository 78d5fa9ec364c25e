import { type optim, type Tensor, torch } from "../../lib/index.js";
import { type Batch, IGNORED_TARGET } from "../data/index.js";
import type { LanguageModel } from "../model/index.js";
import type { Precision } from "./precision.js";

const { recordFunction } = torch.profiler;

/** A loss or norm that stays on the device until someone asks for its number. */
export interface StepResult {
  /** Mean loss over the batch, in nats: a scalar of the innermost scope. */
  readonly loss: Tensor;
  /** The gradient's norm before clipping, where clipping is on: a scalar of the innermost scope. */
  readonly gradientNorm: Tensor | null;
}

export interface StepOptions {
  /** In how many parts the batch is computed. */
  readonly accumulate: number;
  /** Largest norm of the gradient; 0 does not clip. */
  readonly clip: number;
  readonly precision: Precision;
}

/** Cuts a batch into parts of equal rows, with each part's share of the counted targets. */
function parts(batch: Batch, count: number): { part: Batch; share: Tensor | null }[] {
  if (count === 1) return [{ part: batch, share: null }];
  const rows = batch.rows / count;
  const counted = batch.y.ne(IGNORED_TARGET).sum();
  return Array.from({ length: count }, (_, i) => {
    const cut = (tensor: Tensor) => tensor.narrow(0, i * rows, rows);
    const y = cut(batch.y);
    return {
      part: {
        x: cut(batch.x),
        previous: cut(batch.previous),
        previousMask: batch.previousMask && cut(batch.previousMask),
        y,
        rows,
        targets: batch.targets / count,
      },
      // Rows at the ends of the text count fewer targets, so parts need not weigh the same.
      // Counted on the device, where a captured step finds what has been copied there.
      share: y.ne(IGNORED_TARGET).sum().div(counted),
    };
  });
}

/**
 * One optimizer step. Call it inside a scope: what it makes, its result included, belongs to that scope.
 * However many parts the batch is computed in, the gradient is that of the mean loss over the batch.
 */
export function trainStep(
  model: LanguageModel,
  optimizer: optim.Optimizer,
  batch: Batch,
  { accumulate, clip, precision }: StepOptions,
): StepResult {
  optimizer.zeroGrad();
  let total: Tensor | null = null;
  for (const { part, share } of parts(batch, accumulate)) {
    // What the forward pass made and backward does not need is freed before backward takes its memory.
    const mean = recordFunction("forward", () =>
      torch.tidy(() =>
        precision(
          () =>
            model.forward(part.x, {
              previous: part.previous,
              previousMask: part.previousMask,
              targets: part.y,
            }).loss,
        ),
      ),
    );
    const loss = share === null ? mean : mean.mul(share);
    recordFunction("backward", () => loss.backward());
    const value: Tensor = loss.detach();
    total = total === null ? value : total.add(value);
  }
  const gradientNorm = recordFunction("optimizer", () => {
    if (clip > 0) return optimizer.step({ maxNorm: clip });
    optimizer.step();
    return null;
  });
  return { loss: total!, gradientNorm };
}
