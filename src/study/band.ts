/** A curve over seeds: at each x the mean, the least and the largest. */
export interface Band {
  readonly x: readonly number[];
  readonly mean: readonly number[];
  readonly low: readonly number[];
  readonly high: readonly number[];
}

/** The band of curves of the same kind, one for each seed. */
export function band(curves: readonly (readonly (readonly [x: number, y: number])[])[]): Band {
  const at = new Map<number, number[]>();
  for (const [place, value] of curves.flat()) at.set(place, [...(at.get(place) ?? []), value]);
  const x = [...at.keys()].sort((a, b) => a - b);
  const values = x.map((step) => at.get(step)!);
  return {
    x,
    mean: values.map((all) => all.reduce((sum, value) => sum + value, 0) / all.length),
    low: values.map((all) => Math.min(...all)),
    high: values.map((all) => Math.max(...all)),
  };
}
