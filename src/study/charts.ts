import { type Chart, type ChartAxis, type Curve, chart } from "../report/chart.js";
import type { Band } from "./band.js";
import type { ProbeResults } from "./probe-results.js";
import type { ArmResult, StudyResults } from "./results.js";

/** A curve over seeds, with a band from the least to the largest where there are several. */
function curve(
  label: string,
  run: number,
  { x, mean, low, high }: Band,
  several: boolean,
): Curve[] {
  if (x.length === 0) return [];
  return [{ label, run, kind: "val", x, y: mean, ...(several && { band: { low, high } }) }];
}

const PLACE: ChartAxis = {
  title: "Position in the block",
  phrase: "by the position in the block, with at least 512 tokens of text before it",
  scale: "linear",
};

const HISTORY: ChartAxis = {
  title: "Tokens of text before",
  phrase:
    "by the number of tokens of text before the position, from this number to below its double",
  scale: "log2",
};

const DISTANCE: ChartAxis = {
  title: "Tokens beyond the window",
  phrase: "by how far beyond the window the answer lies",
  scale: "log2",
};

/** The charts of a study; one without a curve is left out. */
export function studyCharts({ arms }: StudyResults): Chart[] {
  const each = (pick: (arm: ArmResult) => Band | undefined) =>
    arms.flatMap((arm, i) => {
      const band = pick(arm);
      return band === undefined ? [] : curve(arm.title, i, band, arm.runs.length > 1);
    });
  return [
    ...chart(
      "loss",
      "Held-out loss",
      "nats per token",
      each((arm) => afterStart(arm.curves.heldOut)),
    ),
    ...chart(
      "alpha",
      "Alpha",
      "share of the decoder in the hidden state",
      each((arm) => arm.curves.alpha),
    ),
    ...chart(
      "place",
      "Held-out loss within the block",
      "nats per token",
      each((arm) => arm.positions?.place),
      PLACE,
    ),
    ...chart(
      "history",
      "Held-out loss by length of history",
      "nats per token",
      each((arm) => arm.positions?.history),
      HISTORY,
    ),
  ];
}

/** Without the loss before the first step, which would flatten all else. */
function afterStart({ x, mean, low, high }: Band): Band {
  const first = x[0] === 0 && x.length > 1 ? 1 : 0;
  return {
    x: x.slice(first),
    mean: mean.slice(first),
    low: low.slice(first),
    high: high.slice(first),
  };
}

/** One chart for each task. */
export function probeCharts({ tasks, arms }: ProbeResults): Chart[] {
  return tasks.flatMap(({ name, title }) =>
    chart(
      name,
      title,
      "share of right answers",
      arms.flatMap((arm, i) => {
        const found = arm.tasks.find((one) => one.name === name);
        return found ? curve(arm.title, i, found.beyond, found.seeds > 1) : [];
      }),
      DISTANCE,
    ),
  );
}
