import { flopsPerToken } from "../model/flops.js";
import { createModel, type GPTConfig } from "../model/index.js";

/** What a GPT is made to have as much of as another model. */
export type Matched = "parameters" | "flops";

/** A GPT of about the wanted size. */
export interface Match {
  readonly nLayers: number;
  readonly nEmbd: number;
  /** Its size over the wanted one, less 1: 0.02 is 2 % larger. */
  readonly deviation: number;
}

/** How near the number of blocks alone must come: models of one width are the fairer comparison. */
const SAME_WIDTH = 0.05;
/** How near another width must come to be taken for its shape. */
const OTHER_WIDTH = 0.02;
const MOST_LAYERS = 64;

/** Parameters, or operations a token in training. */
export function sizeOf(config: GPTConfig, matched: Matched): number {
  if (matched === "flops") return flopsPerToken(config).training;
  // Tensors without memory: what is counted are the model's own parameters.
  using model = createModel("gpt", config, { device: "meta" });
  return model.numParameters();
}

/**
 * The GPT of the size `wanted`: `base` with another number of blocks, where that alone comes within 5 %;
 * else with another width too (an even number of channels a head, from half of `base`'s to twice): of
 * those within 2 % the one nearest to `base` in shape, or else the one of the nearest size.
 */
export function matchGPT(base: GPTConfig, matched: Matched, wanted: number): Match {
  const same = bestDepth(base, matched, wanted);
  if (Math.abs(same.deviation) <= SAME_WIDTH) return same;
  const step = 2 * base.nHeads;
  const matches = [same];
  for (
    let width = Math.ceil(base.nEmbd / 2 / step) * step;
    width <= 2 * base.nEmbd;
    width += step
  ) {
    matches.push(bestDepth({ ...base, nEmbd: width }, matched, wanted));
  }
  const near = matches.filter(({ deviation }) => Math.abs(deviation) <= OTHER_WIDTH);
  if (near.length === 0) return matches.reduce(nearer);
  const change = ({ nLayers, nEmbd }: Match) =>
    Math.abs(Math.log(nLayers / base.nLayers)) + Math.abs(Math.log(nEmbd / base.nEmbd));
  return near.reduce((a, b) => (change(b) < change(a) ? b : a));
}

function nearer(a: Match, b: Match): Match {
  return Math.abs(b.deviation) < Math.abs(a.deviation) ? b : a;
}

function bestDepth(base: GPTConfig, matched: Matched, wanted: number): Match {
  const matchOf = (nLayers: number): Match => ({
    nLayers,
    nEmbd: base.nEmbd,
    deviation: sizeOf({ ...base, nLayers }, matched) / wanted - 1,
  });
  let best = matchOf(1);
  // The size grows with every block, so the first one that is too large ends the search.
  for (let nLayers = 2; nLayers <= MOST_LAYERS && best.deviation < 0; nLayers++) {
    const next = matchOf(nLayers);
    best = nearer(best, next);
    if (next.deviation >= 0) break;
  }
  return best;
}
