import { type optim, type Tensor, torch } from "../../lib/index.js";
import { type Batch, IGNORED_TARGET } from "../data/index.js";
import { type History, historyOfRows, joinHistories } from "../model/history.js";
import type { LanguageModel } from "../model/index.js";
import type { CarriedHistory } from "./carried-history.js";
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
  /** What is carried from batch to batch; read and set. Default: every batch begins without a history. */
  readonly history?: CarriedHistory | undefined;
}

/** Some rows of a batch, with their history and their share of the counted targets. */
interface Part {
  readonly x: Tensor;
  readonly previous: Tensor;
  readonly previousMask: Tensor | null;
  readonly y: Tensor;
  readonly history: History | null;
  readonly share: Tensor | 0 | 1;
}

/** Cuts a batch into parts of equal rows. */
function parts(batch: Batch, history: History | null, count: number): Part[] {
  const { x, previous, previousMask, y } = batch;
  if (count === 1) return [{ x, previous, previousMask, y, history, share: 1 }];
  const rows = batch.rows / count;
  const counted = y.ne(IGNORED_TARGET).sum();
  return Array.from({ length: count }, (_, i) => {
    const cut = (tensor: Tensor) => tensor.narrow(0, i * rows, rows);
    const own = cut(y);
    const targets = batch.rowTargets?.slice(i * rows, (i + 1) * rows) ?? [batch.targets];
    return {
      x: cut(x),
      previous: cut(previous),
      previousMask: previousMask && cut(previousMask),
      y: own,
      history: history && historyOfRows(history, i * rows, rows),
      // Rows at the ends of the text count fewer targets, so parts need not weigh the same.
      // Counted on the device, where a captured step finds what has been copied there.
      share: targets.every((row) => row === 0) ? 0 : own.ne(IGNORED_TARGET).sum().div(counted),
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
  { accumulate, clip, precision, history }: StepOptions,
): StepResult {
  optimizer.zeroGrad();
  let total: Tensor | null = null;
  const kept: History[] = [];
  for (const part of parts(batch, history?.before(batch) ?? null, accumulate)) {
    if (part.share === 0) {
      // A mean over no target is not a number.
      const after = torch.noGrad(() => precision(() => model.readHistory(part.x, part.history)));
      if (after !== null) kept.push(after);
      continue;
    }
    // What the forward pass made and backward does not need is freed before backward takes its memory.
    const [mean, after] = recordFunction("forward", () =>
      torch.tidy(() =>
        precision(() => {
          const { previous, previousMask, y: targets } = part;
          const options = { previous, previousMask, targets, history: part.history };
          const { loss, history } = model.forward(part.x, options);
          return [loss, history] as const;
        }),
      ),
    );
    if (after !== null) kept.push(after);
    const loss = part.share === 1 ? mean : mean.mul(part.share);
    recordFunction("backward", () => loss.backward());
    const value: Tensor = loss.detach();
    total = total === null ? value : total.add(value);
  }
  history?.after(kept.length === 0 ? null : joinHistories(kept));
  const gradientNorm = recordFunction("optimizer", () => {
    if (clip > 0) return optimizer.step({ maxNorm: clip });
    optimizer.step();
    return null;
  });
  return { loss: total!, gradientNorm };
}
