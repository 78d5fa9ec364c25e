import type { GPTConfig, WaveGPTConfig, WaveNetConfig } from "./config.js";

/** Floating-point operations a token, in whole blocks of training. */
export interface TokenFlops {
  /** Forward, in multiplications by weights. */
  readonly dense: number;
  /** Forward, in attention's two products: queries by keys, shares by values. */
  readonly attention: number;
  /** Forward and backward: three times the forward pass, as each product has two more for its gradients. */
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
  const wavenet = "wavenet" in config ? wavenetProducts(config.wavenet, config) : 0;
  const dense = 2 * (nLayers * (projections + feedForward) + wavenet + nEmbd * vocabSize);
  const attention = 2 * nLayers * 2 * nEmbd * ((blockSize + 1) / 2);
  return { dense, attention, training: 3 * (dense + attention) };
}

/** Multiplications by the WaveNet's weights, a token of the block. */
function wavenetProducts(wavenet: WaveNetConfig, config: GPTConfig): number {
  return mergingProducts(wavenet, config);
}

/** Layers that merge `reshapeFactor` positions each run once a block, over the tokens before it. */
function mergingProducts(
  { layers, reshapeFactor }: WaveNetConfig,
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
