import type { Random } from "../data/random.js";

/**
 * A piece of a synthetic text: something to remember, noise, and a question about it. Positions are
 * counted from the episode's first token.
 */
export interface Episode {
  readonly tokens: readonly number[];
  /** Where an answer is to be predicted, and which: the model has then read up to that position. */
  readonly answers: readonly { readonly position: number; readonly target: number }[];
}

/** A task whose answers lie a given distance back. */
export interface ProbeTask {
  readonly name: string;
  readonly title: string;
  /** The share of right answers by guessing. */
  readonly chance: number;
  /**
   * @param gap how many positions the answer's token lies before the position that is to predict it
   */
  episode(gap: number, random: Random): Episode;
}

/** Symbols to be remembered: tokens 0 to 15. */
export const VALUES = 16;
/** Symbols that names are made of: tokens 16 to 23. */
export const KEYS = 8;
/** Symbols that say nothing: tokens 24 to 39. */
const NOISE = 16;

const FIRST_KEY = VALUES;
const FIRST_NOISE = FIRST_KEY + KEYS;
/** Begins what is to be remembered. */
export const STORE = FIRST_NOISE + NOISE;
/** Asks for it. */
export const ASK = STORE + 1;
/** Tokens in all tasks' vocabulary. */
export const PROBE_VOCABULARY = ASK + 1;

export function drawValue(random: Random): number {
  return random.below(VALUES);
}

/** Different keys in random order. */
export function drawKeys(count: number, random: Random): number[] {
  return Array.from(random.permutation(KEYS).subarray(0, count), (key) => FIRST_KEY + key);
}

export function drawNoise(count: number, random: Random): number[] {
  return Array.from({ length: count }, () => FIRST_NOISE + random.below(NOISE));
}
