import { WaveGPTError } from "../../lib/errors.js";
import { type Tensor, torch } from "../../lib/index.js";
import type { WaveNetHistory } from "./config.js";

/**
 * What a causal WaveNet keeps of the text before a block, layer by layer. Of a gated layer the norms of the inputs that
 * it still looks back at, (B, dilation, C), the last being that of the token right before the block; of a retention
 * layer its state, (B, heads, d, d), and the norm of its last input, (B, 1, C). Zero where there was no text.
 */
export type History = readonly Tensor[];

/** The histories of some of the rows. */
export function historyOfRows(history: History, first: number, rows: number): History {
  return history.map((layer) => layer.narrow(0, first, rows));
}

/** Puts rows together again. */
export function joinHistories(parts: readonly History[]): History {
  if (parts.length === 1) return parts[0]!;
  return parts[0]!.map((_, layer) => torch.cat(parts.map((part) => part[layer]!)));
}

/** A history in which rows that do not continue have none. */
export function emptied(history: History, continues: readonly boolean[]): History {
  if (continues.every(Boolean)) return history;
  const device = history[0]!.device;
  const kept = torch.tensor(
    continues.map((continued) => (continued ? 1 : 0)),
    { dtype: "float32", device },
  );
  return history.map((layer) => {
    const { dtype, shape } = layer;
    return layer.mul(kept.to(dtype).view(-1, ...shape.slice(1).map(() => 1)));
  });
}

/** What a block starts from, given its rows' own histories. */
export function startingHistory(own: History, form: WaveNetHistory): History {
  if (form === "carried") return own;
  const alone = own[0]!.shape[0] === 1;
  return own.map((layer) =>
    form === "zeroed" || alone ? torch.zerosLike(layer) : layer.roll(-1, 0),
  );
}

/** @throws WaveGPTError ERR_WAVEGPT_ARGUMENT where a history is not one of this many rows of this model */
export function requireHistory(history: History, expected: readonly (readonly number[])[]): void {
  const show = (shapes: readonly (readonly number[])[]) =>
    shapes.map((shape) => `[${shape.join(", ")}]`).join(", ");
  const shapes = history.map((layer) => layer.shape);
  if (show(shapes) !== show(expected)) {
    throw new WaveGPTError(
      "ERR_WAVEGPT_ARGUMENT",
      `history must be tensors of the shapes ${show(expected)}, got ${show(shapes) || "none"}`,
      { argument: "history" },
    );
  }
}
