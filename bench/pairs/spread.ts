import { quantile } from "../../src/study/statistics.js";

/** What many measurements of one thing say: the middle, and how far the middle half of them reaches. */
export interface Spread {
  readonly median: number;
  readonly lowerQuartile: number;
  readonly upperQuartile: number;
  readonly min: number;
  readonly max: number;
}

export function spreadOf(values: readonly number[]): Spread {
  if (values.length === 0) throw new Error("expected at least one measurement, got none");
  const sorted = [...values].sort((a, b) => a - b);
  return {
    median: quantile(sorted, 0.5),
    lowerQuartile: quantile(sorted, 0.25),
    upperQuartile: quantile(sorted, 0.75),
    min: sorted[0]!,
    max: sorted.at(-1)!,
  };
}

/** The ratios of measurements that were taken in the same round. */
export function ratiosOf(ours: readonly number[], theirs: readonly number[]): Spread {
  if (ours.length !== theirs.length) {
    throw new Error(`expected pairs, got ${ours.length} and ${theirs.length} measurements`);
  }
  return spreadOf(ours.map((value, round) => value / theirs[round]!));
}

/** E.g. `0.52 (0.50-0.55)`: median and quartiles. */
export function formatSpread(spread: Spread, digits: number): string {
  const [middle, low, high] = [spread.median, spread.lowerQuartile, spread.upperQuartile].map((n) =>
    n.toFixed(digits),
  );
  return `${middle} (${low}-${high})`;
}

export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}
