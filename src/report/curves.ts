import type { MetricRecord } from "../run/metrics.js";
import { type Chart, type Curve, chart } from "./chart.js";
import type { ReportedRun } from "./runs.js";

/** More points than this are drawn as means over neighbours. */
const MOST_POINTS = 2000;

function thin(points: readonly (readonly [number, number])[]): (readonly [number, number])[] {
  const width = Math.ceil(points.length / MOST_POINTS);
  if (width <= 1) return [...points];
  const thinned: (readonly [number, number])[] = [];
  for (let at = 0; at < points.length; at += width) {
    const part = points.slice(at, at + width);
    const mean = part.reduce((sum, [, y]) => sum + y, 0) / part.length;
    thinned.push([part.at(-1)![0], mean]);
  }
  return thinned;
}

function curve(
  label: string,
  run: number,
  kind: Curve["kind"],
  records: readonly MetricRecord[],
  pick: (record: MetricRecord) => number | null,
): Curve[] {
  const points = records.flatMap((record) => {
    const y = pick(record);
    return y === null ? [] : [[record.step, y] as const];
  });
  const drawn = thin(points);
  return drawn.length === 0
    ? []
    : [{ label, run, kind, x: drawn.map(([x]) => x), y: drawn.map(([, y]) => y) }];
}

/** The charts of a report; one without a line is left out. */
export function charts(runs: readonly ReportedRun[]): Chart[] {
  const each = (make: (run: ReportedRun, index: number) => Curve[]) => runs.flatMap(make);
  const all = (run: ReportedRun) => [...run.train, ...run.val].sort((a, b) => a.step - b.step);
  return [
    ...chart(
      "loss",
      "Loss",
      "nats per token",
      each((run, i) => [
        ...curve(`${run.label}, training`, i, "train", run.train, (record) => record.loss),
        ...curve(`${run.label}, held-out`, i, "val", run.val, (record) => record.loss),
      ]),
    ),
    ...chart(
      "alpha",
      "Alpha",
      "share of the decoder in the hidden state",
      each((run, i) => curve(run.label, i, "single", all(run), (record) => record.alpha)),
    ),
    ...chart(
      "rate",
      "Learning rate",
      "at each step",
      each((run, i) => curve(run.label, i, "single", run.train, (record) => record.lr)),
    ),
    ...chart(
      "speed",
      "Speed",
      "training tokens per second",
      each((run, i) =>
        curve(run.label, i, "single", run.train, (record) => record.tokens_per_second),
      ),
    ),
  ];
}
