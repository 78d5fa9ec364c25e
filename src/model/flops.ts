import type { GPTConfig, MergingWaveNetConfig, WaveGPTConfig } from "./config.js";

/** Floating-point operations a token, in whole blocks of training. */
export interface TokenFlops {
  /** Forward, in multiplications by weights. */
  readonly dense: number;
  /** Forward, in attention's two products: queries by keys, shares by values. */
  readonly attention: number;
  /** Forward, in the two products with the state of a retention layer: queries by it, keys by values for the next. */
  readonly state: number;
  /**
   * Forward and backward: three times the forward pass, as each product has two more for its gradients, but for the
   * state, which is outside autograd's graph: of its two products, one has one more.
   */
  readonly training: number;
}

/**
 * Counts a model's floating-point operations a token.
 *
 * Counted are matrix products, two operations for each multiplication with its addition, as
 * `torch.utils.flop_counter` counts them; norms, activations, softmax, dropout and the optimizer are not.
 * Attention is counted for the positions that causality lets a token see, on average (T + 1) / 2 of a
 * block's T, where PyTorch's counter counts all T. Looking up an embedding costs nothing.
 *
 * @param config a resolved configuration; one with `wavenet` is a WaveGPT's
 */
export function flopsPerToken(config: GPTConfig | WaveGPTConfig): TokenFlops {
  const { nEmbd, nLayers, blockSize, vocabSize } = config;
  const projections = 4 * nEmbd ** 2;
  const feedForward = 8 * nEmbd ** 2;
  const memory = memoryLayers(config);
  // Retention's products are attention's: queries by keys, weights by values.
  const retention = 2 * memory * 2 * nEmbd * ((blockSize + 1) / 2);
  const wavenet = 2 * wavenetProducts(config);
  const dense = 2 * (nLayers * (projections + feedForward) + nEmbd * vocabSize) + wavenet;
  const attention = 2 * nLayers * 2 * nEmbd * ((blockSize + 1) / 2) + retention;
  const state = 2 * memory * 2 * nEmbd * (nEmbd / config.nHeads);
  // A WaveNet that the hidden state leaves out is computed forward, and learns nothing.
  const unlearnt = isLeftOut(config) ? 2 * (wavenet + retention) + state / 2 : 0;
  const training = 3 * (dense + attention) + (3 / 2) * state - unlearnt;
  return { dense, attention, state, training };
}

function memoryLayers(config: GPTConfig | WaveGPTConfig): number {
  return "wavenet" in config && config.wavenet.mode === "causal" ? config.wavenet.memory : 0;
}

function isLeftOut(config: GPTConfig | WaveGPTConfig): boolean {
  return "wavenet" in config && config.wavenet.mode === "causal" && config.wavenet.alpha === "one";
}

/** Multiplications by the WaveNet's weights, a token of the block. */
function wavenetProducts(config: GPTConfig | WaveGPTConfig): number {
  if (!("wavenet" in config)) return 0;
  const { wavenet } = config;
  return wavenet.mode === "causal"
    ? causalProducts(wavenet.layers, config.nEmbd)
    : mergingProducts(wavenet, config);
}

/**
 * Each layer: two taps of C channels to C of the tanh and C of the gate, or C to queries, keys, values and gate, and C
 * to C on the way out.
 */
function causalProducts(layers: number, nEmbd: number): number {
  return layers * (2 * nEmbd * 2 * nEmbd + nEmbd ** 2);
}

/** Layers that merge `reshapeFactor` positions each run once a block, over the tokens before it. */
function mergingProducts(
  { layers, reshapeFactor }: MergingWaveNetConfig,
  { nEmbd, blockSize }: GPTConfig,
): number {
  const merged = reshapeFactor ** layers;
  const left = Math.ceil(blockSize / merged);
  let positions = left * merged;
  let products = 0;
  for (let layer = 0; layer < layers; layer++) {
    products += positions * nEmbd ** 2;
    positions /= reshapeFactor;
  }
  if (left > 1) products += left * nEmbd ** 2;
  return products / blockSize;
}
