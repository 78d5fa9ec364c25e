import { isFloatingPoint } from "../dtype.js";
import { WaveGPTError } from "../errors.js";
import type { Tensor } from "../tensor.js";
import { torch } from "../torch.js";
import { dropout, linear, pad, scaledDotProductAttention, softmax } from "./functional.js";
import type { AttentionOptions } from "./multihead-attention.js";

export interface AttentionResult {
  output: Tensor;
  /** Null unless asked for. */
  weights: Tensor | null;
}

/** What {@link multiHeadAttentionForward} needs beside the three inputs. */
export interface AttentionParameters extends AttentionOptions {
  numHeads: number;
  /** (3 * E, E), or null with `separateWeights`. */
  inProjWeight: Tensor | null;
  /** Query's (E, E), key's (E, kdim) and value's (E, vdim), or null with `inProjWeight`. */
  separateWeights?: readonly [Tensor, Tensor, Tensor] | null;
  /** (3 * E) */
  inProjBias?: Tensor | null;
  /** (1, 1, E) */
  biasK?: Tensor | null;
  /** (1, 1, E) */
  biasV?: Tensor | null;
  addZeroAttn?: boolean;
  /** Acts always: pass 0, the default, when not training. */
  dropoutP?: number;
  /** (E, E) */
  outProjWeight: Tensor;
  /** (E) */
  outProjBias?: Tensor | null;
}

/**
 * Attention with several heads over query (L, N, E), key (S, N, kdim) and value (S, N, vdim), or without N. The same
 * operators in the same order as PyTorch's function of this name, so that results and random numbers agree.
 */
export function multiHeadAttentionForward(
  query: Tensor,
  key: Tensor,
  value: Tensor,
  parameters: AttentionParameters,
): AttentionResult {
  const { numHeads, needWeights = true, averageAttnWeights = true, dropoutP = 0 } = parameters;
  const batched = checkAttentionShapes(query, key, value, numHeads, parameters);
  const inputs = batched ? ([query, key, value] as const) : unsqueezed(query, key, value);
  const [length, batch, embedDim] = inputs[0].shape as [number, number, number];
  const headDim = embedDim / numHeads;

  let [q, k, v] = project(...inputs, parameters);
  let { attnMask, keyPaddingMask, isCausal } = prepareMasks(query, parameters, {
    batched,
    shape: [length, inputs[1].size(0), batch * numHeads],
  });

  if (parameters.biasK && parameters.biasV) {
    k = torch.cat([k, parameters.biasK.repeat([1, batch, 1])]);
    v = torch.cat([v, parameters.biasV.repeat([1, batch, 1])]);
    attnMask = attnMask && pad(attnMask, [0, 1]);
    keyPaddingMask = keyPaddingMask && pad(keyPaddingMask, [0, 1]);
  }
  const heads = (tensor: Tensor): Tensor =>
    tensor.view([tensor.size(0), batch * numHeads, headDim]).transpose(0, 1);
  q = heads(q);
  k = heads(k);
  v = heads(v);
  if (parameters.addZeroAttn) {
    const shape = [batch * numHeads, 1, headDim];
    k = torch.cat([k, torch.zeros(shape, { dtype: k.dtype, device: k.device })], { dim: 1 });
    v = torch.cat([v, torch.zeros(shape, { dtype: v.dtype, device: v.device })], { dim: 1 });
    attnMask = attnMask && pad(attnMask, [0, 1]);
    keyPaddingMask = keyPaddingMask && pad(keyPaddingMask, [0, 1]);
  }
  const sources = k.size(1);
  if (keyPaddingMask) {
    const padding = keyPaddingMask
      .view([batch, 1, 1, sources])
      .expand([-1, numHeads, -1, -1])
      .reshape([batch * numHeads, 1, sources]);
    attnMask = attnMask ? attnMask.add(padding) : padding;
  }

  const project_ = (attended: Tensor): Tensor => {
    const output = linear(attended, parameters.outProjWeight, parameters.outProjBias ?? null);
    const shaped = output.view([length, batch, output.size(1)]);
    return batched ? shaped : shaped.squeeze(1);
  };

  if (!needWeights) {
    if (attnMask) {
      attnMask =
        attnMask.size(0) === 1 && attnMask.ndim === 3
          ? attnMask.unsqueeze(0)
          : attnMask.view([batch, numHeads, -1, sources]);
    }
    const attended = scaledDotProductAttention(
      q.view([batch, numHeads, length, headDim]),
      k.view([batch, numHeads, sources, headDim]),
      v.view([batch, numHeads, sources, headDim]),
      { attnMask, dropoutP, isCausal },
    );
    return {
      output: project_(attended.permute([2, 0, 1, 3]).reshape([batch * length, embedDim])),
      weights: null,
    };
  }

  const scaled = q.mul(Math.sqrt(1 / headDim));
  const scores = attnMask
    ? torch.baddbmm(attnMask, scaled, k.transpose(-2, -1))
    : torch.bmm(scaled, k.transpose(-2, -1));
  let weights = softmax(scores, -1);
  if (dropoutP > 0) {
    weights = dropout(weights, { p: dropoutP });
  }
  const attended = torch
    .bmm(weights, v)
    .transpose(0, 1)
    .reshape([length * batch, embedDim]);
  const output = project_(attended);
  weights = weights.view([batch, numHeads, length, sources]);
  if (averageAttnWeights) {
    weights = weights.mean(1);
  }
  return { output, weights: batched ? weights : weights.squeeze(0) };
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

function unsqueezed(query: Tensor, key: Tensor, value: Tensor): readonly [Tensor, Tensor, Tensor] {
  const q = query.unsqueeze(1);
  const k = key === query ? q : key.unsqueeze(1);
  const v = value === key ? k : value.unsqueeze(1);
  return [q, k, v];
}

function project(
  query: Tensor,
  key: Tensor,
  value: Tensor,
  { inProjWeight, inProjBias, separateWeights }: AttentionParameters,
): [Tensor, Tensor, Tensor] {
  const size = query.size(-1);
  const biases = (): (Tensor | null)[] => inProjBias?.chunk(3) ?? [null, null, null];
  if (!inProjWeight) {
    if (!separateWeights) {
      throw new WaveGPTError(
        "ERR_WAVEGPT_ARGUMENT",
        "Attention needs inProjWeight or separateWeights; got neither.",
        { argument: "inProjWeight" },
      );
    }
    const [biasQ = null, biasK = null, biasV = null] = biases();
    return [
      linear(query, separateWeights[0], biasQ),
      linear(key, separateWeights[1], biasK),
      linear(value, separateWeights[2], biasV),
    ];
  }
  if (key === value && query === key) {
    return unpacked(linear(query, inProjWeight, inProjBias ?? null), 3, size) as [
      Tensor,
      Tensor,
      Tensor,
    ];
  }
  if (key === value) {
    const [weightQ, weightKv] = inProjWeight.split([size, 2 * size]) as [Tensor, Tensor];
    const [biasQ, biasKv] = inProjBias?.split([size, 2 * size]) ?? [];
    const q = linear(query, weightQ, biasQ ?? null);
    const [k, v] = unpacked(linear(key, weightKv, biasKv ?? null), 2, size) as [Tensor, Tensor];
    return [q, k, v];
  }
  const [weightQ, weightK, weightV] = inProjWeight.chunk(3) as [Tensor, Tensor, Tensor];
  const [biasQ = null, biasK = null, biasV = null] = biases();
  return [
    linear(query, weightQ, biasQ),
    linear(key, weightK, biasK),
    linear(value, weightV, biasV),
  ];
}

/** (L, N, parts * size) -> `parts` contiguous tensors (L, N, size). */
function unpacked(projected: Tensor, parts: number, size: number): Tensor[] {
  return projected.unflatten(-1, [parts, size]).movedim([-2], [0]).contiguous().unbind(0);
}

function prepareMasks(
  query: Tensor,
  { attnMask, keyPaddingMask, isCausal = false, needWeights = true, numHeads }: AttentionParameters,
  { batched, shape }: { batched: boolean; shape: readonly [number, number, number] },
): { attnMask: Tensor | null; keyPaddingMask: Tensor | null; isCausal: boolean } {
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
      `shape [${length}, ${sources}] or [${batchHeads}, ${length}, ${sources}] for ${numHeads} heads`,
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
