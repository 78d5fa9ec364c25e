import { WaveGPTError } from "../errors.js";
import type { Tensor } from "../tensor.js";
import { torch } from "../torch.js";
import { type AdditiveMasks, additiveMasks, checkAttentionShapes } from "./attention-masks.js";
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

  const [q, k, v] = project(...inputs, parameters);
  const masks = additiveMasks(query, parameters, {
    batched,
    shape: [length, inputs[1].size(0), batch * numHeads],
  });
  const sources = appendSources(k, v, masks, batch, parameters);
  const heads = (tensor: Tensor): Tensor =>
    tensor.view([tensor.size(0), batch * numHeads, headDim]).transpose(0, 1);
  const split = appendZeros(heads(sources.k), heads(sources.v), sources, parameters);
  const attention: Attention = {
    q: heads(q),
    k: split.k,
    v: split.v,
    mask: mergedMask(split, { batch, numHeads, sources: split.k.size(1) }),
    isCausal: masks.isCausal,
    dropoutP,
    sizes: { batch, numHeads, length, sources: split.k.size(1), headDim },
  };
  const { attended, weights } = needWeights ? attend(attention) : attendFused(attention);

  const output = linear(attended, parameters.outProjWeight, parameters.outProjBias ?? null).view([
    length,
    batch,
    embedDim,
  ]);
  const averaged = averageAttnWeights ? (weights?.mean(1) ?? null) : weights;
  return batched
    ? { output, weights: averaged }
    : { output: output.squeeze(1), weights: averaged?.squeeze(0) ?? null };
}

/** Keys and values with the masks over them. */
interface Sources {
  k: Tensor;
  v: Tensor;
  attnMask: Tensor | null;
  keyPaddingMask: Tensor | null;
}

interface Attention {
  /** (N * heads, L, E / heads) */
  q: Tensor;
  /** (N * heads, S, E / heads) */
  k: Tensor;
  /** (N * heads, S, E / heads) */
  v: Tensor;
  /** (1 or N * heads, L or 1, S) */
  mask: Tensor | null;
  isCausal: boolean;
  dropoutP: number;
  sizes: { batch: number; numHeads: number; length: number; sources: number; headDim: number };
}

/** Appends the learnt key and value, (S, N, E) -> (S + 1, N, E). No mask covers them. */
function appendSources(
  k: Tensor,
  v: Tensor,
  masks: AdditiveMasks,
  batch: number,
  { biasK, biasV }: AttentionParameters,
): Sources {
  if (!biasK || !biasV) {
    return { k, v, ...masks };
  }
  return {
    k: torch.cat([k, biasK.repeat([1, batch, 1])]),
    v: torch.cat([v, biasV.repeat([1, batch, 1])]),
    ...widened(masks),
  };
}

/** Appends a key and value of zeros, (N * heads, S, E / heads) -> (N * heads, S + 1, E / heads). */
function appendZeros(
  k: Tensor,
  v: Tensor,
  masks: Omit<AdditiveMasks, "isCausal">,
  { addZeroAttn = false }: AttentionParameters,
): Sources {
  const { attnMask, keyPaddingMask } = masks;
  if (!addZeroAttn) {
    return { k, v, attnMask, keyPaddingMask };
  }
  const extended = (tensor: Tensor): Tensor => {
    const { dtype, device } = tensor;
    const zeros = torch.zeros([tensor.size(0), 1, tensor.size(2)], { dtype, device });
    return torch.cat([tensor, zeros], { dim: 1 });
  };
  return { k: extended(k), v: extended(v), ...widened(masks) };
}

/** The masks with a column that masks nothing. */
function widened({
  attnMask,
  keyPaddingMask,
}: Omit<AdditiveMasks, "isCausal">): Omit<AdditiveMasks, "isCausal"> {
  return {
    attnMask: attnMask && pad(attnMask, [0, 1]),
    keyPaddingMask: keyPaddingMask && pad(keyPaddingMask, [0, 1]),
  };
}

function mergedMask(
  { attnMask, keyPaddingMask }: Sources,
  { batch, numHeads, sources }: { batch: number; numHeads: number; sources: number },
): Tensor | null {
  if (!keyPaddingMask) {
    return attnMask;
  }
  const padding = keyPaddingMask
    .view([batch, 1, 1, sources])
    .expand([-1, numHeads, -1, -1])
    .reshape([batch * numHeads, 1, sources]);
  return attnMask ? attnMask.add(padding) : padding;
}

interface Attended {
  /** (L * N, E) */
  attended: Tensor;
  /** (N, heads, L, S), or null. */
  weights: Tensor | null;
}

/** With the weights in sight. */
function attend({ q, k, v, mask, dropoutP, sizes }: Attention): Attended {
  const { batch, numHeads, length, sources, headDim } = sizes;
  const scaled = q.mul(Math.sqrt(1 / headDim));
  const scores = mask
    ? torch.baddbmm(mask, scaled, k.transpose(-2, -1))
    : torch.bmm(scaled, k.transpose(-2, -1));
  const certain = softmax(scores, -1);
  const weights = dropoutP > 0 ? dropout(certain, { p: dropoutP }) : certain;
  const attended = torch.bmm(weights, v).transpose(0, 1);
  return {
    attended: attended.reshape([length * batch, numHeads * headDim]),
    weights: weights.view([batch, numHeads, length, sources]),
  };
}

/** By libtorch's fused operators, which return no weights. */
function attendFused({ q, k, v, mask, isCausal, dropoutP, sizes }: Attention): Attended {
  const { batch, numHeads, length, sources, headDim } = sizes;
  const attnMask =
    mask && (mask.size(0) === 1 ? mask.unsqueeze(0) : mask.view([batch, numHeads, -1, sources]));
  const attended = scaledDotProductAttention(
    q.view([batch, numHeads, length, headDim]),
    k.view([batch, numHeads, sources, headDim]),
    v.view([batch, numHeads, sources, headDim]),
    { attnMask, dropoutP, isCausal },
  );
  return {
    attended: attended.permute([2, 0, 1, 3]).reshape([batch * length, numHeads * headDim]),
    weights: null,
  };
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
