/** A mean over seeds and the interval that holds it with 95 % confidence; null for fewer than two values. */
export interface Estimate {
  readonly mean: number;
  /** Half the interval's width: the interval is `mean ± margin`. */
  readonly margin: number | null;
  readonly count: number;
}

/**
 * Student's t distribution, P(|t| <= x) for a whole number of degrees of freedom, by the finite sums of
 * Abramowitz and Stegun (Handbook of Mathematical Functions, 26.7.3 and 26.7.4).
 */
export function tWithin(x: number, degrees: number): number {
  const angle = Math.atan(x / Math.sqrt(degrees));
  const square = Math.cos(angle) ** 2;
  const odd = degrees % 2 === 1;
  // The factors are 2/3, 4/5, ... for odd degrees of freedom and 1/2, 3/4, ... for even ones.
  let term = odd ? Math.cos(angle) : 1;
  let sum = degrees === 1 ? 0 : term;
  for (let k = odd ? 2 : 1; k <= degrees - 3; k += 2) {
    term *= (k / (k + 1)) * square;
    sum += term;
  }
  return odd ? (2 / Math.PI) * (angle + Math.sin(angle) * sum) : Math.sin(angle) * sum;
}

/** The x with P(|t| <= x) = `confidence`. */
export function tQuantile(confidence: number, degrees: number): number {
  let high = 1;
  while (tWithin(high, degrees) < confidence) high *= 2;
  let low = 0;
  for (let i = 0; i < 100; i++) {
    const middle = (low + high) / 2;
    if (tWithin(middle, degrees) < confidence) low = middle;
    else high = middle;
  }
  return high;
}

/** The mean of independent values and its 95 % interval by Student's t. Null for no values. */
export function estimate(values: readonly number[], confidence = 0.95): Estimate | null {
  const count = values.length;
  if (count === 0) return null;
  const mean = values.reduce((sum, value) => sum + value, 0) / count;
  if (count === 1) return { mean, margin: null, count };
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (count - 1);
  return { mean, margin: tQuantile(confidence, count - 1) * Math.sqrt(variance / count), count };
}

/**
 * The mean of `a[seed] - b[seed]` over the seeds that both have, and its 95 % interval: the paired t
 * interval, which leaves out what the two have in common, such as a seed's order of the data.
 */
export function pairedDifference(
  a: ReadonlyMap<number, number>,
  b: ReadonlyMap<number, number>,
): Estimate | null {
  const differences: number[] = [];
  for (const [seed, value] of a) {
    const other = b.get(seed);
    if (other !== undefined) differences.push(value - other);
  }
  return estimate(differences);
}

/** The value below which the share `at` of sorted values lies, between two of them by a straight line. */
export function quantile(sorted: readonly number[], at: number): number {
  const place = at * (sorted.length - 1);
  const below = Math.floor(place);
  const lower = sorted[below]!;
  const upper = sorted[Math.min(below + 1, sorted.length - 1)]!;
  return lower + (upper - lower) * (place - below);
}
