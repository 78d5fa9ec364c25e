/** A line of a chart: `y[i]` at `x[i]`. */
export interface Curve {
  readonly label: string;
  /** Which run or model, for the colour. */
  readonly run: number;
  readonly kind: "train" | "val" | "single";
  readonly x: readonly number[];
  readonly y: readonly number[];
  /** How far the values behind each `y` reach: a band around the line. */
  readonly band?: { readonly low: readonly number[]; readonly high: readonly number[] };
}

/** What a chart's curves run over. */
export interface ChartAxis {
  /** E.g. `Step`. */
  readonly title: string;
  /** In words, for a sentence: `over optimizer steps`. */
  readonly phrase: string;
  /** `log2`: each doubling takes as much room. */
  readonly scale: "linear" | "log2";
}

export interface Chart {
  readonly id: string;
  readonly title: string;
  readonly unit: string;
  readonly x: ChartAxis;
  /** What the chart shows, in words, for those who cannot see it. */
  readonly description: string;
  readonly curves: readonly Curve[];
}

/** What the curves of training run over. */
export const STEPS: ChartAxis = { title: "Step", phrase: "over optimizer steps", scale: "linear" };

function inWords({ label, x, y }: Curve, axis: string): string {
  const least = y.reduce((best, value, i) => (value < y[best]! ? i : best), 0);
  const digits = (n: number) => Number(n.toPrecision(4)).toString();
  return `${label}: from ${digits(y[0]!)} at ${axis} ${x[0]} to ${digits(y.at(-1)!)} at ${axis} ${x.at(-1)}, least ${digits(y[least]!)} at ${axis} ${x[least]}.`;
}

/** A chart of these curves, or none where there are none. */
export function chart(
  id: string,
  title: string,
  unit: string,
  curves: readonly Curve[],
  x: ChartAxis = STEPS,
): Chart[] {
  if (curves.length === 0) return [];
  const axis = x.title.toLowerCase();
  const words = curves.map((curve) => inWords(curve, axis)).join(" ");
  return [{ id, title, unit, x, curves, description: `${title}, ${unit}, ${x.phrase}. ${words}` }];
}
