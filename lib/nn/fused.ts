import type { Handle } from "../native.js";
import { nativeOperator } from "../operator.js";
import { Tensor } from "../tensor.js";

/**
 * Layers in one operator each, `wavegpt::NAME`: on the CPU a kernel that passes over memory once, on other
 * devices the same computed by libtorch's operators. Under autocast they compute in its type, and keep what
 * is added up over layers, the residual, in its own.
 *
 * Dropout is drawn from Philox (Salmon et al., 2011) with a seed of the default CPU generator: the same
 * elements are dropped for any number of threads. Its probability is rounded to 16 bits.
 */

/** What follows a linear layer's sum. */
export type Activation = "none" | "gelu" | "relu";

const linearOperator = nativeOperator("wavegpt::linear");
const mlpOperator = nativeOperator("wavegpt::mlp");
const attentionOperator = nativeOperator("wavegpt::attention");
const layerNormOperator = nativeOperator("wavegpt::layer_norm");
const dropoutOperator = nativeOperator("wavegpt::dropout");
const addDropoutOperator = nativeOperator("wavegpt::add_dropout");
const addDropoutLayerNormOperator = nativeOperator("wavegpt::add_dropout_layer_norm");
const linearCrossEntropyOperator = nativeOperator("wavegpt::linear_cross_entropy");
const embeddingOperator = nativeOperator("wavegpt::token_position_embedding");
const waveLayerOperator = nativeOperator("wavegpt::wave_layer");
const gatedConvOperator = nativeOperator("wavegpt::gated_conv");
const retentionOperator = nativeOperator("wavegpt::retention");
const tokenShiftOperator = nativeOperator("wavegpt::token_shift");
const mixOperator = nativeOperator("wavegpt::mix");

const one = (handle: unknown) => new Tensor(handle as Handle);
const handleOf = (tensor: Tensor | null) => (tensor === null ? null : tensor.handle);

/** A layer norm's weight and bias, (C) or null. */
export interface NormParameters {
  readonly weight: Tensor | null;
  readonly bias: Tensor | null;
  readonly eps: number;
}

/** A linear layer's weight, (out, in), and bias, (out) or null. */
export interface LinearParameters {
  readonly weight: Tensor;
  readonly bias: Tensor | null;
}

export interface DropoutOptions {
  /** The probability that an element is dropped, from 0 to 1. */
  readonly p: number;
  /** Nothing is dropped where this is false. */
  readonly training: boolean;
}

/**
 * `activation(x @ weight.T + bias)`; GELU is the exact one (Hendrycks and Gimpel, 2016).
 *
 * @param x - (..., in) @returns (..., out)
 */
export function linear(
  x: Tensor,
  { weight, bias }: LinearParameters,
  activation: Activation = "none",
): Tensor {
  return one(linearOperator(x.handle, weight.handle, handleOf(bias), activation));
}

/**
 * Linear, GELU, linear.
 *
 * @param x - (..., in) @returns (..., out)
 */
export function mlp(x: Tensor, first: LinearParameters, second: LinearParameters): Tensor {
  return one(
    mlpOperator(
      x.handle,
      first.weight.handle,
      handleOf(first.bias),
      second.weight.handle,
      handleOf(second.bias),
    ),
  );
}

/**
 * Causal self-attention (Vaswani et al., 2017) with dropout of its probabilities: position t sees up to t.
 *
 * @param qkv - queries, keys and values beside each other, (B, T, 3 C)
 * @param heads - how many share the C channels
 * @returns (B, T, C)
 */
export function causalAttention(
  qkv: Tensor,
  heads: number,
  { p, training }: DropoutOptions,
): Tensor {
  return one(attentionOperator(qkv.handle, heads, p, training));
}

/** Layer norm over the last dimension (Ba et al., 2016). Under autocast the result has its type. */
export function layerNorm(x: Tensor, { weight, bias, eps }: NormParameters): Tensor {
  return one(layerNormOperator(x.handle, handleOf(weight), handleOf(bias), eps));
}

/** Zeroes elements with probability `p` and scales the others by 1 / (1 - p), while `training`. */
export function dropout(x: Tensor, { p, training }: DropoutOptions): Tensor {
  return one(dropoutOperator(x.handle, p, training));
}

/** `residual + dropout(x)`, in the residual's type. */
export function addDropout(residual: Tensor, x: Tensor, { p, training }: DropoutOptions): Tensor {
  return one(addDropoutOperator(residual.handle, x.handle, p, training));
}

/**
 * `sum = residual + dropout(x)` and its layer norm.
 *
 * @returns `sum` in the residual's type, and the norm, under autocast in its type
 */
export function addDropoutLayerNorm(
  residual: Tensor,
  x: Tensor,
  { weight, bias, eps }: NormParameters,
  { p, training }: DropoutOptions,
): [sum: Tensor, normed: Tensor] {
  const [sum, normed] = addDropoutLayerNormOperator(
    residual.handle,
    x.handle,
    handleOf(weight),
    handleOf(bias),
    eps,
    p,
    training,
  ) as [Handle, Handle];
  return [new Tensor(sum), new Tensor(normed)];
}

/**
 * The mean cross-entropy, in nats, of the logits `x @ weight.T + bias`, which never exist whole: neither
 * their memory nor that of their gradient is taken.
 *
 * @param x - (..., C)
 * @param target - the right classes, (...) int64
 * @throws Error where a target is neither a class nor `ignoreIndex`
 */
export function linearCrossEntropy(
  x: Tensor,
  { weight, bias }: LinearParameters,
  target: Tensor,
  { ignoreIndex = -100 }: { readonly ignoreIndex?: number } = {},
): Tensor {
  return one(
    linearCrossEntropyOperator(x.handle, weight.handle, handleOf(bias), target.handle, ignoreIndex),
  );
}

/**
 * The embeddings of tokens and of their positions, added.
 *
 * @param tokens - (B, T) int64
 * @param tokenWeight - (V, C)
 * @param positionWeight - (P, C)
 * @param firstPosition - the position of the first token of each row
 * @returns (B, T, C)
 * @throws Error where a token or position is out of range
 */
export function tokenPositionEmbedding(
  tokens: Tensor,
  tokenWeight: Tensor,
  positionWeight: Tensor,
  firstPosition = 0,
): Tensor {
  return one(
    embeddingOperator(tokens.handle, tokenWeight.handle, positionWeight.handle, firstPosition),
  );
}

/**
 * Joins `factor` neighbouring positions: `relu(linear(layerNorm(joined)))`.
 *
 * @param x - (B, L, C), L divisible by the factor @returns (B, L / factor, out)
 */
export function waveLayer(
  x: Tensor,
  factor: number,
  norm: NormParameters,
  { weight, bias }: LinearParameters,
): Tensor {
  return one(
    waveLayerOperator(
      x.handle,
      factor,
      handleOf(norm.weight),
      handleOf(norm.bias),
      weight.handle,
      handleOf(bias),
      norm.eps,
    ),
  );
}

/**
 * A causal convolution of two taps, tanh of the first half of its channels times the sigmoid of the second, which gates
 * it, and a projection (van den Oord et al., 2016, section 2.3): all that stands between `[x[t - dilation], x[t]]` and
 * what such a layer adds to its input.
 *
 * @param x - (B, T, C)
 * @param past - the `dilation` inputs before x, (B, dilation, C)
 * @param conv - of 2 C to 2 H channels @param out - of H channels
 * @returns (B, T, out)
 */
export function gatedConv(
  x: Tensor,
  past: Tensor,
  conv: LinearParameters,
  out: LinearParameters,
): Tensor {
  return one(
    gatedConvOperator(
      x.handle,
      past.handle,
      conv.weight.handle,
      handleOf(conv.bias),
      out.weight.handle,
      handleOf(out.bias),
    ),
  );
}

/**
 * Retention (Sun et al., 2023), normed a head and gated: with queries q, keys k and values v of a head's d channels,
 * `state[t] = decay * state[t - 1] + k[t]^T v[t] / sqrt(d)` and `o[t] = q[t] state[t]`, and the result is o's layer
 * norm over the head's channels times the SiLU of the gates. Products are of the type of `qkvg`, the state stays in its.
 *
 * @param qkvg - queries, keys, values and gates beside each other, (B, T, 4 C)
 * @param state - that before the first position, (B, heads, d, d)
 * @param decays - of the heads, each between 0 and 1
 * @returns `out`, (B, T, C), and the state after the last position; where `state` asks for no gradient, the kernel
 * gives the next one outside autograd's graph
 */
export function retention(
  qkvg: Tensor,
  state: Tensor,
  decays: readonly number[],
  { eps = 1e-5 }: { readonly eps?: number } = {},
): { out: Tensor; state: Tensor } {
  const [out, next] = retentionOperator(qkvg.handle, state.handle, decays, eps) as [Handle, Handle];
  return { out: new Tensor(out), state: new Tensor(next) };
}

/**
 * `x[t] + share * (x[t - 1] - x[t])`: each position with a share of the one before it, as RWKV's token shift (Peng et
 * al., 2023, section 3.1).
 *
 * @param x - (B, T, C) @param past - what is before the first position, (B, 1, C) @param share - (C)
 * @returns (B, T, C)
 */
export function tokenShift(x: Tensor, past: Tensor, share: Tensor): Tensor {
  return one(tokenShiftOperator(x.handle, past.handle, share.handle));
}

/**
 * `g * (1 - beta) + h * beta`.
 *
 * @param g - (B, T, C) @param h - (B, 1, C) @param beta - (1) or (B, 1, 1) @returns (B, T, C)
 */
export function mix(g: Tensor, h: Tensor, beta: Tensor): Tensor {
  return one(mixOperator(g.handle, h.handle, beta.handle));
}
