import { WaveGPTError } from "../lib/errors.js";

/** How the next token is drawn from a model's logits. */
export interface SamplingOptions {
  /** Below 1 sharpens, above 1 flattens the distribution; 0 always takes the likeliest. Default 1. */
  readonly temperature?: number;
  /** Draw among this many likeliest tokens only. Default: all. */
  readonly topK?: number | undefined;
  /** Draw among the likeliest tokens that together have at least this probability. Default 1: all. */
  readonly topP?: number | undefined;
}

/** @throws WaveGPTError ERR_WAVEGPT_ARGUMENT naming the option, what was expected and what came */
export function checkSampling({ temperature = 1, topK, topP = 1 }: SamplingOptions): void {
  const fail = (name: string, expected: string, got: unknown): never => {
    throw new WaveGPTError("ERR_WAVEGPT_ARGUMENT", `${name}: expected ${expected}, got ${got}.`, {
      argument: name,
    });
  };
  if (!(temperature >= 0 && Number.isFinite(temperature))) {
    fail("temperature", "a number of at least 0", temperature);
  }
  if (topK !== undefined && !(Number.isInteger(topK) && topK >= 1)) {
    fail("topK", "a whole number of at least 1", topK);
  }
  if (!(topP > 0 && topP <= 1)) fail("topP", "a number above 0 and at most 1", topP);
}

function likeliest(logits: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i]! > logits[best]!) best = i;
  return best;
}

/**
 * Draws a token. Done in float64 on the CPU, so that a seed gives the same text wherever the same
 * logits were computed.
 * @param logits of one position
 * @param uniform a random number in [0, 1)
 * @throws WaveGPTError ERR_WAVEGPT_NON_FINITE where the logits hold NaN
 */
export function sampleToken(
  logits: ArrayLike<number>,
  uniform: number,
  { temperature = 1, topK, topP = 1 }: SamplingOptions = {},
): number {
  const best = likeliest(logits);
  const highest = logits[best]!;
  const weights = new Float64Array(logits.length);
  for (let i = 0; i < weights.length; i++) {
    if (Number.isNaN(logits[i])) {
      throw new WaveGPTError(
        "ERR_WAVEGPT_NON_FINITE",
        `The model's output is not a number (NaN) for token ${i}: its weights are broken.`,
      );
    }
    weights[i] = temperature === 0 ? 0 : Math.exp((logits[i]! - highest) / temperature);
  }
  if (temperature === 0) return best;
  let order: Uint32Array | null = null;
  if ((topK !== undefined && topK < weights.length) || topP < 1) {
    order = Uint32Array.from(weights, (_, i) => i).sort(
      (a, b) => weights[b]! - weights[a]! || a - b,
    );
    if (topK !== undefined) order = order.subarray(0, topK);
    if (topP < 1) {
      const total = order.reduce((sum, i) => sum + weights[i]!, 0);
      let reached = 0;
      let kept = 0;
      while (kept < order.length && reached < topP * total) reached += weights[order[kept++]!]!;
      order = order.subarray(0, Math.max(1, kept));
    }
  }
  const candidates = order ?? Uint32Array.from(weights, (_, i) => i);
  let left = uniform * candidates.reduce((sum, i) => sum + weights[i]!, 0);
  for (const i of candidates) {
    left -= weights[i]!;
    if (left < 0) return i;
  }
  // Rounding may leave a sliver beyond the last candidate that can be drawn.
  return candidates.findLast((i) => weights[i]! > 0) ?? best;
}
