import { isFloatingPoint } from "../dtype.js";
import { WaveGPTError } from "../errors.js";
import type { Tensor } from "../tensor.js";
import { torch } from "../torch.js";
import type { AttentionOptions } from "./multihead-attention.js";

/** Masks to be added to the scores, and whether the attention mask may be left to a causal kernel. */
export interface AdditiveMasks {
  /** (1, L, S) or (N * heads, L, S) */
  attnMask: Tensor | null;
  /** (N, S) */
  keyPaddingMask: Tensor | null;
  isCausal: boolean;
}

/** Checks how many dimensions the inputs have; returns whether there is a batch dimension. */
export function checkAttentionShapes(
  query: Tensor,
  key: Tensor,
  value: Tensor,
  numHeads: number,
  { attnMask, keyPaddingMask, isCausal }: AttentionOptions,
): boolean {
  const batched = query.ndim === 3;
  const expected = batched ? 3 : 2;
  for (const [name, tensor] of Object.entries({ query, key, value })) {
    if (tensor.ndim !== expected) {
      throw attentionError(
        name,
        `${batched || name === "query" ? "2 dimensions (unbatched) or 3" : "2 dimensions, as the query"}, the same for query, key and value`,
        tensor,
      );
    }
  }
  if (keyPaddingMask && keyPaddingMask.ndim !== expected - 1) {
    throw attentionError("keyPaddingMask", batched ? "shape (N, S)" : "shape (S)", keyPaddingMask);
  }
  if (attnMask && attnMask.ndim !== 2 && attnMask.ndim !== 3) {
    throw attentionError("attnMask", `shape (L, S) or (N * ${numHeads}, L, S)`, attnMask);
  }
  if (isCausal && !attnMask) {
    throw new WaveGPTError(
      "ERR_WAVEGPT_ARGUMENT",
      "isCausal says that attnMask is the causal mask: expected attnMask too, got none.",
      { argument: "attnMask" },
    );
  }
  return batched;
}

function attentionError(argument: string, expected: string, tensor: Tensor): WaveGPTError {
  return new WaveGPTError(
    "ERR_WAVEGPT_ARGUMENT",
    `Attention's ${argument} must have ${expected}; got shape [${tensor.shape.join(", ")}] and dtype ${tensor.dtype}.`,
    { argument },
  );
}

/** Checks the masks against `shape`, [L, S, N * heads], and makes numbers of booleans. */
export function additiveMasks(
  query: Tensor,
  { attnMask, keyPaddingMask, isCausal = false, needWeights = true }: AttentionOptions,
  { batched, shape }: { batched: boolean; shape: readonly [number, number, number] },
): AdditiveMasks {
  const [length, sources, batchHeads] = shape;
  const padding = keyPaddingMask ? additive("keyPaddingMask", keyPaddingMask, query) : null;
  const spreadPadding = padding && !batched ? padding.unsqueeze(0) : padding;
  if (isCausal && padding === null && !needWeights) {
    return { attnMask: null, keyPaddingMask: null, isCausal };
  }
  if (!attnMask) {
    return { attnMask: null, keyPaddingMask: spreadPadding, isCausal: false };
  }
  const expected = attnMask.ndim === 2 ? [length, sources] : [batchHeads, length, sources];
  if (attnMask.shape.join() !== expected.join()) {
    throw attentionError(
      "attnMask",
      `shape [${length}, ${sources}] or [${batchHeads}, ${length}, ${sources}]`,
      attnMask,
    );
  }
  const mask = additive("attnMask", attnMask, query);
  return {
    attnMask: mask.ndim === 2 ? mask.unsqueeze(0) : mask,
    keyPaddingMask: spreadPadding,
    // A merged mask is no longer the causal one.
    isCausal: isCausal && padding === null,
  };
}

/** A boolean mask as numbers to add to the scores: minus infinity where it is true. */
function additive(name: string, mask: Tensor, query: Tensor): Tensor {
  if (isFloatingPoint(mask.dtype)) {
    return mask;
  }
  if (mask.dtype !== "bool") {
    throw attentionError(name, "a boolean or floating-point dtype", mask);
  }
  return torch.zerosLike(mask, { dtype: query.dtype }).maskedFill_(mask, Number.NEGATIVE_INFINITY);
}
