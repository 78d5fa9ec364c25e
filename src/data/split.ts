import { WaveGPTError } from "../../lib/errors.js";
import type { TokenArray } from "../tokenizer/index.js";

/** The two parts of a text: views of its tokens, no copies. */
export interface Split<T extends TokenArray = TokenArray> {
  readonly train: T;
  readonly val: T;
}

/**
 * The first `floor(length * fraction)` tokens for training and the rest, in document order, for
 * validation. The parts share no token, and a loader sees only its own part: the block that opens the
 * validation part has no previous context rather than the end of the training part.
 *
 * @param fraction - training's share, default 0.8
 * @throws WaveGPTError ERR_WAVEGPT_DATA where a part would be empty
 */
export function splitTokens<T extends TokenArray>(tokens: T, fraction = 0.8): Split<T> {
  if (!(fraction > 0 && fraction < 1)) {
    throw new WaveGPTError(
      "ERR_WAVEGPT_DATA",
      `training's share of the text must lie between 0 and 1 (both excluded), got ${fraction}`,
    );
  }
  const boundary = Math.floor(tokens.length * fraction);
  if (boundary === 0 || boundary === tokens.length) {
    throw new WaveGPTError(
      "ERR_WAVEGPT_DATA",
      `a text of ${tokens.length} tokens is too short to be split ${fraction} to ${+(1 - fraction).toFixed(6)}: one part would be empty`,
    );
  }
  return { train: tokens.subarray(0, boundary) as T, val: tokens.subarray(boundary) as T };
}
