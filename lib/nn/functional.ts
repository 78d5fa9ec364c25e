import type { DType } from "../dtype.js";
import { WaveGPTError } from "../errors.js";
import type { Tensor } from "../tensor.js";
import { torch } from "../torch.js";

/** torch.nn.functional: layers and losses as functions of tensors, with PyTorch's defaults. */

/** How a loss over many elements becomes its result. */
export type Reduction = "none" | "mean" | "sum";

const REDUCTION: Readonly<Record<Reduction, number>> = { none: 0, mean: 1, sum: 2 };

function reductionCode(reduction: Reduction): number {
  const code = REDUCTION[reduction];
  if (code === undefined) {
    throw new WaveGPTError(
      "ERR_WAVEGPT_ARGUMENT",
      `reduction must be "none", "mean" or "sum"; got ${JSON.stringify(reduction)}.`,
      { argument: "reduction" },
    );
  }
  return code;
}

/** `input @ weight.T + bias`: (..., in), (out, in), (out) -> (..., out). */
export function linear(input: Tensor, weight: Tensor, bias: Tensor | null = null): Tensor {
  return torch.nnFunctional.linear(input, weight, bias);
}

/** The rows of `weight` (n, d) at the integers of `input` (...): (..., d). */
export function embedding(
  input: Tensor,
  weight: Tensor,
  { paddingIdx = null }: { paddingIdx?: number | null } = {},
): Tensor {
  return torch.embedding(weight, input, { paddingIdx: paddingRow(paddingIdx, weight.size(0)) });
}

/** The row without gradient as libtorch takes it: counted from the start, -1 for none. */
export function paddingRow(paddingIdx: number | null, rows: number): number {
  if (paddingIdx === null) {
    return -1;
  }
  if (!Number.isInteger(paddingIdx) || paddingIdx < -rows || paddingIdx >= rows) {
    throw new WaveGPTError(
      "ERR_WAVEGPT_ARGUMENT",
      `paddingIdx must be an integer from ${-rows} to ${rows - 1}, for ${rows} embeddings; got ${paddingIdx}.`,
      { argument: "paddingIdx" },
    );
  }
  return paddingIdx < 0 ? paddingIdx + rows : paddingIdx;
}

/** Normalises over the last dimensions, whose sizes are `shape`, to mean 0 and variance 1. */
export function layerNorm(
  input: Tensor,
  shape: readonly number[],
  {
    weight = null,
    bias = null,
    eps = 1e-5,
  }: { weight?: Tensor | null; bias?: Tensor | null; eps?: number } = {},
): Tensor {
  return torch.layerNorm(input, shape, { weight, bias, eps });
}

/** Divides by the root mean square over the last dimensions. `eps` is the dtype's epsilon where null. */
export function rmsNorm(
  input: Tensor,
  shape: readonly number[],
  { weight = null, eps = null }: { weight?: Tensor | null; eps?: number | null } = {},
): Tensor {
  return torch.rmsNorm(input, shape, { weight, eps });
}

/** Zeroes elements with probability `p` and scales the others by 1 / (1 - p), while `training`. */
export function dropout(
  input: Tensor,
  { p = 0.5, training = true }: { p?: number; training?: boolean } = {},
): Tensor {
  checkProbability(p);
  return torch.dropout(input, p, training);
}

/** Refuses what is no probability. */
export function checkProbability(p: number, argument = "p"): void {
  if (!(p >= 0 && p <= 1)) {
    throw new WaveGPTError(
      "ERR_WAVEGPT_ARGUMENT",
      `The dropout probability must be between 0 and 1; got ${p}.`,
      { argument },
    );
  }
}

/** (N, in, L), (out, in / groups, k) -> (N, out, L'); `"same"` keeps L, with stride 1. */
export function conv1d(
  input: Tensor,
  weight: Tensor,
  {
    bias = null,
    stride = 1,
    padding = 0,
    dilation = 1,
    groups = 1,
  }: {
    bias?: Tensor | null;
    stride?: number;
    padding?: number | "same" | "valid";
    dilation?: number;
    groups?: number;
  } = {},
): Tensor {
  return typeof padding === "string"
    ? torch.conv1d(input, weight, { bias, stride, padding, dilation, groups })
    : torch.conv1d(input, weight, { bias, stride, padding, dilation, groups });
}

/** x * Phi(x), or its tanh approximation. */
export function gelu(
  input: Tensor,
  { approximate = "none" }: { approximate?: "none" | "tanh" } = {},
): Tensor {
  return torch.nnFunctional.gelu(input, { approximate });
}

export function relu(input: Tensor): Tensor {
  return torch.relu(input);
}

/** x * sigmoid(x). */
export function silu(input: Tensor): Tensor {
  return torch.nnFunctional.silu(input);
}

export function tanh(input: Tensor): Tensor {
  return torch.tanh(input);
}

export function sigmoid(input: Tensor): Tensor {
  return torch.sigmoid(input);
}

/** Softmax over `dim`, computed in `dtype` where given. */
export function softmax(input: Tensor, dim: number, { dtype }: { dtype?: DType } = {}): Tensor {
  return dtype === undefined ? torch.softmax(input, dim) : torch.softmax(input, dim, { dtype });
}

/** The logarithm of softmax over `dim`. */
export function logSoftmax(input: Tensor, dim: number, { dtype }: { dtype?: DType } = {}): Tensor {
  return dtype === undefined
    ? torch.logSoftmax(input, dim)
    : torch.logSoftmax(input, dim, { dtype });
}

/**
 * Cross entropy of logits (N, C, ...) with classes (N, ...) as integers, or with probabilities (N, C, ...).
 * Targets equal to `ignoreIndex` (-100 by default) count neither in the sum nor in the mean.
 */
export function crossEntropy(
  input: Tensor,
  target: Tensor,
  {
    weight = null,
    ignoreIndex = -100,
    reduction = "mean",
    labelSmoothing = 0,
  }: {
    weight?: Tensor | null;
    ignoreIndex?: number;
    reduction?: Reduction;
    labelSmoothing?: number;
  } = {},
): Tensor {
  return torch.nnFunctional.crossEntropyLoss(input, target, {
    weight,
    reduction: reductionCode(reduction),
    ignoreIndex,
    labelSmoothing,
  });
}

/** As {@link crossEntropy}, of log-probabilities. */
export function nllLoss(
  input: Tensor,
  target: Tensor,
  {
    weight = null,
    ignoreIndex = -100,
    reduction = "mean",
  }: { weight?: Tensor | null; ignoreIndex?: number; reduction?: Reduction } = {},
): Tensor {
  return torch.nnFunctional.nllLossNd(input, target, {
    weight,
    reduction: reductionCode(reduction),
    ignoreIndex,
  });
}

export function mseLoss(
  input: Tensor,
  target: Tensor,
  { reduction = "mean" }: { reduction?: Reduction } = {},
): Tensor {
  return torch.nnFunctional.mseLoss(input, target, { reduction: reductionCode(reduction) });
}

export function l1Loss(
  input: Tensor,
  target: Tensor,
  { reduction = "mean" }: { reduction?: Reduction } = {},
): Tensor {
  return torch.nnFunctional.l1Loss(input, target, { reduction: reductionCode(reduction) });
}

/** Binary cross entropy of logits with probabilities of the same shape. */
export function binaryCrossEntropyWithLogits(
  input: Tensor,
  target: Tensor,
  {
    weight = null,
    posWeight = null,
    reduction = "mean",
  }: { weight?: Tensor | null; posWeight?: Tensor | null; reduction?: Reduction } = {},
): Tensor {
  return torch.binaryCrossEntropyWithLogits(input, target, {
    weight,
    posWeight,
    reduction: reductionCode(reduction),
  });
}

/**
 * softmax(q k^T * scale + mask) v over (..., L, E), (..., S, E), (..., S, Ev). A boolean `attnMask` is true where
 * attention is allowed (the other way round than {@link MultiheadAttention}'s), a float one is added to the scores.
 * `scale` is 1 / sqrt(E) by default. `dropoutP` acts always: pass 0 when not training.
 */
export function scaledDotProductAttention(
  query: Tensor,
  key: Tensor,
  value: Tensor,
  {
    attnMask = null,
    dropoutP = 0,
    isCausal = false,
    scale = null,
    enableGqa = false,
  }: {
    attnMask?: Tensor | null;
    dropoutP?: number;
    isCausal?: boolean;
    scale?: number | null;
    enableGqa?: boolean;
  } = {},
): Tensor {
  return torch.nnFunctional.scaledDotProductAttention(query, key, value, {
    attnMask,
    dropoutP,
    isCausal,
    scale,
    enableGqa,
  });
}

/** Pads dimensions from the last backwards: [before last, after last, before last but one, ...]. */
export function pad(
  input: Tensor,
  padding: readonly number[],
  {
    mode = "constant",
    value = 0,
  }: { mode?: "constant" | "reflect" | "replicate" | "circular"; value?: number } = {},
): Tensor {
  return mode === "constant"
    ? torch.nnFunctional.pad(input, padding, { mode, value })
    : torch.nnFunctional.pad(input, padding, { mode });
}

/** int64 (...) -> (..., numClasses) of 0 and 1; -1 takes the largest class plus one. */
export function oneHot(input: Tensor, { numClasses = -1 }: { numClasses?: number } = {}): Tensor {
  return torch.nnFunctional.oneHot(input, { numClasses });
}

/** Divides by the p-norm over `dim`, but never by less than `eps`. */
export function normalize(
  input: Tensor,
  { p = 2, dim = 1, eps = 1e-12 }: { p?: number; dim?: number; eps?: number } = {},
): Tensor {
  return input.div(
    torch.linalg.vectorNorm(input, { ord: p, dim, keepdim: true }).clampMin(eps).expandAs(input),
  );
}
