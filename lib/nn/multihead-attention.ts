import { isFloatingPoint } from "../dtype.js";
import { WaveGPTError } from "../errors.js";
import type { Handle } from "../native.js";
import { nativeOperator } from "../operator.js";
import { Tensor } from "../tensor.js";
import { torch } from "../torch.js";
import { checkAttentionShapes } from "./attention-masks.js";
import { type FactoryOptions, factoryOptions } from "./factory.js";
import { checkProbability } from "./functional.js";
import { constant_, xavierNormal_, xavierUniform_ } from "./init.js";
import { Linear } from "./linear.js";
import { Module } from "./module.js";
import { type AttentionResult, multiHeadAttentionForward } from "./multihead-attention-forward.js";
import { emptyParameter, type Parameter } from "./parameter.js";

const nativeAttention = nativeOperator("aten::_native_multi_head_attention");

export interface MultiheadAttentionOptions extends FactoryOptions {
  /** Probability with which an attention weight is dropped while training; 0 by default. */
  dropout?: number;
  /** Whether the projections have biases; true by default. */
  bias?: boolean;
  /** (N, L, E) instead of (L, N, E); false by default. */
  batchFirst?: boolean;
  /** Features of the keys; embedDim by default. */
  kdim?: number;
  /** Features of the values; embedDim by default. */
  vdim?: number;
  /** Whether a learnt key and value are appended; false by default. */
  addBiasKv?: boolean;
  /** Whether a key and value of zeros are appended; false by default. */
  addZeroAttn?: boolean;
}

export interface AttentionOptions {
  /**
   * (L, S) or (N * numHeads, L, S). Boolean: true may NOT be attended to (the other way round than
   * scaledDotProductAttention's). Floating: added to the scores.
   */
  attnMask?: Tensor | null;
  /** (N, S), or (S) unbatched; as `attnMask`. */
  keyPaddingMask?: Tensor | null;
  /** Whether the weights are returned; true by default, as in PyTorch. False is faster. */
  needWeights?: boolean;
  /** Whether the returned weights are averaged over heads; true by default. */
  averageAttnWeights?: boolean;
  /** A promise that `attnMask`, which must be given too, is the causal one; false by default. */
  isCausal?: boolean;
}

/**
 * Attention with several heads ("Attention Is All You Need", 2017), with PyTorch's parameters, numbers and dropout
 * stream. Query (L, N, E), key (S, N, kdim), value (S, N, vdim); (N, L, E) and so on with `batchFirst`; or without N.
 */
export class MultiheadAttention extends Module {
  readonly embedDim: number;
  readonly numHeads: number;
  readonly kdim: number;
  readonly vdim: number;
  readonly dropout: number;
  readonly batchFirst: boolean;
  readonly addZeroAttn: boolean;
  /** (embedDim, embedDim), and null where key and value have embedDim features. */
  readonly q_proj_weight: Parameter | null;
  /** (embedDim, kdim), or null. */
  readonly k_proj_weight: Parameter | null;
  /** (embedDim, vdim), or null. */
  readonly v_proj_weight: Parameter | null;
  /** (3 * embedDim, embedDim): query's, key's and value's projection; null where kdim or vdim differ. */
  readonly in_proj_weight: Parameter | null;
  /** (3 * embedDim), or null. */
  readonly in_proj_bias: Parameter | null;
  /** (1, 1, embedDim), or null. */
  readonly bias_k: Parameter | null;
  /** (1, 1, embedDim), or null. */
  readonly bias_v: Parameter | null;
  readonly out_proj: Linear;

  constructor(
    embedDim: number,
    numHeads: number,
    {
      dropout = 0,
      bias = true,
      batchFirst = false,
      kdim = embedDim,
      vdim = embedDim,
      addBiasKv = false,
      addZeroAttn = false,
      ...rest
    }: MultiheadAttentionOptions = {},
  ) {
    super();
    if (!(embedDim > 0 && numHeads > 0 && embedDim % numHeads === 0)) {
      throw new WaveGPTError(
        "ERR_WAVEGPT_ARGUMENT",
        `MultiheadAttention needs an embedDim divisible by numHeads, both positive; got ${embedDim} and ${numHeads}.`,
        { argument: "numHeads" },
      );
    }
    checkProbability(dropout, "dropout");
    const factory = factoryOptions(rest);
    const packed = kdim === embedDim && vdim === embedDim;
    const separate = (features: number): Parameter | null =>
      packed ? null : emptyParameter([embedDim, features], factory);
    this.embedDim = embedDim;
    this.numHeads = numHeads;
    this.kdim = kdim;
    this.vdim = vdim;
    this.dropout = dropout;
    this.batchFirst = batchFirst;
    this.addZeroAttn = addZeroAttn;
    this.q_proj_weight = separate(embedDim);
    this.k_proj_weight = separate(kdim);
    this.v_proj_weight = separate(vdim);
    this.in_proj_weight = packed ? emptyParameter([3 * embedDim, embedDim], factory) : null;
    this.in_proj_bias = bias ? emptyParameter([3 * embedDim], factory) : null;
    this.out_proj = new Linear(embedDim, embedDim, { bias, ...factory });
    this.bias_k = addBiasKv ? emptyParameter([1, 1, embedDim], factory) : null;
    this.bias_v = addBiasKv ? emptyParameter([1, 1, embedDim], factory) : null;
    this.resetParameters();
  }

  /** Draws new values for the input projections and zeroes the biases; `out_proj.weight` keeps its own. */
  resetParameters(): void {
    const weights = [
      this.in_proj_weight,
      this.q_proj_weight,
      this.k_proj_weight,
      this.v_proj_weight,
    ];
    for (const weight of weights) {
      if (weight !== null) {
        xavierUniform_(weight);
      }
    }
    for (const bias of [this.in_proj_bias, this.out_proj.bias]) {
      if (bias !== null) {
        constant_(bias, 0);
      }
    }
    for (const bias of [this.bias_k, this.bias_v]) {
      if (bias !== null) {
        xavierNormal_(bias);
      }
    }
  }

  /** The attended values, shaped as the query, and the weights (N, L, S), (N, numHeads, L, S) or null. */
  forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    options: AttentionOptions = {},
  ): AttentionResult {
    const batched = checkAttentionShapes(query, key, value, this.numHeads, options);
    if (this.#fused(query, key, value, batched, options)) {
      return this.#forwardFused(query, key, value, options);
    }
    const swap = this.batchFirst && batched;
    // The same tensor stays the same tensor: self-attention then takes one projection.
    const q = swap ? query.transpose(1, 0) : query;
    const k = key === query ? q : swap ? key.transpose(1, 0) : key;
    const v = value === key ? k : swap ? value.transpose(1, 0) : value;
    const { output, weights } = multiHeadAttentionForward(q, k, v, {
      numHeads: this.numHeads,
      inProjWeight: this.in_proj_weight,
      separateWeights:
        this.q_proj_weight && this.k_proj_weight && this.v_proj_weight
          ? [this.q_proj_weight, this.k_proj_weight, this.v_proj_weight]
          : null,
      inProjBias: this.in_proj_bias,
      biasK: this.bias_k,
      biasV: this.bias_v,
      addZeroAttn: this.addZeroAttn,
      dropoutP: this.training ? this.dropout : 0,
      outProjWeight: this.out_proj.weight,
      outProjBias: this.out_proj.bias,
      ...options,
    });
    return { output: swap ? output.transpose(1, 0) : output, weights };
  }

  /** Whether PyTorch would take its fused inference operator, which rounds differently. */
  #fused(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    batched: boolean,
    { attnMask, keyPaddingMask }: AttentionOptions,
  ): boolean {
    const weight = this.in_proj_weight;
    const bias = this.in_proj_bias;
    if (
      this.training ||
      !batched ||
      !this.batchFirst ||
      query !== key ||
      key !== value ||
      weight === null ||
      bias === null ||
      this.numHeads % 2 !== 0 ||
      this.bias_k !== null ||
      this.bias_v !== null ||
      this.addZeroAttn ||
      query.dtype !== weight.dtype ||
      query.dtype !== bias.dtype ||
      (attnMask && isFloatingPoint(attnMask.dtype)) ||
      (keyPaddingMask && isFloatingPoint(keyPaddingMask.dtype)) ||
      torch.isAutocastEnabled(deviceType(query.device)) ||
      !["cpu", "cuda"].includes(deviceType(query.device))
    ) {
      return false;
    }
    return !(
      torch.isGradEnabled() &&
      [query, weight, bias, this.out_proj.weight, this.out_proj.bias].some(
        (tensor) => tensor?.requiresGrad,
      )
    );
  }

  #forwardFused(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    { attnMask, keyPaddingMask, needWeights = true, averageAttnWeights = true }: AttentionOptions,
  ): AttentionResult {
    const [batch, length] = query.shape as [number, number, number];
    let mask: Tensor | null = keyPaddingMask ?? null;
    // 1: (N, S); 2: (N, heads, L, S).
    let maskType: number | null = mask === null ? null : 1;
    if (attnMask) {
      const spread =
        attnMask.ndim === 3
          ? attnMask.view([batch, -1, length, length])
          : attnMask.view([1, 1, length, length]).expand([batch, this.numHeads, -1, -1]);
      const padding = keyPaddingMask
        ?.view([batch, 1, 1, length])
        .expand([-1, this.numHeads, -1, -1]);
      mask = padding === undefined ? spread : spread.logicalOr(padding);
      maskType = 2;
    }
    const handles = [query, key, value].map((tensor) => tensor.handle);
    const [output, weights] = nativeAttention(
      ...handles,
      this.embedDim,
      this.numHeads,
      this.in_proj_weight?.handle,
      this.in_proj_bias?.handle,
      this.out_proj.weight.handle,
      this.out_proj.bias?.handle,
      mask?.handle ?? null,
      needWeights,
      averageAttnWeights,
      maskType,
    ) as [Handle, Handle | null];
    return {
      output: new Tensor(output),
      weights: weights === null || !needWeights ? null : new Tensor(weights),
    };
  }
}

function deviceType(device: string): string {
  return device.split(":", 1)[0] ?? device;
}
