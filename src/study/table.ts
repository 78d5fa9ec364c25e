import { formatCount, formatLoss, formatShort } from "../report/format.js";
import type { SummaryTable } from "../report/table.js";
import type { ProbeResults } from "./probe-results.js";
import type { ArmResult, StudyResults } from "./results.js";
import type { Estimate } from "./statistics.js";

const NONE = "–";

/** `1.6713 ± 0.0021`: a mean and its 95 % interval. */
export function formatEstimate(
  value: Estimate | null,
  format: (n: number) => string = formatLoss,
): string {
  if (value === null) return NONE;
  return value.margin === null
    ? format(value.mean)
    : `${format(value.mean)} ± ${format(value.margin)}`;
}

/** `-0.092 ± 0.004`, with a true minus sign. */
export function formatDifference(value: Estimate | null): string {
  if (value === null) return NONE;
  const sign = value.mean < 0 ? "−" : "+";
  return sign + formatEstimate({ ...value, mean: Math.abs(value.mean) });
}

/** How near a matched arm comes: `+0.4 %`. */
function closeness(arm: ArmResult): string {
  if (arm.match === null) return "";
  const percent = 100 * arm.match.deviation;
  return ` (${percent < 0 ? "−" : "+"}${Math.abs(percent).toFixed(1)} %)`;
}

function size(arm: ArmResult): string {
  return `${arm.nLayers} × ${arm.nEmbd}`;
}

function timeCells(arm: ArmResult): [string, string] {
  if (arm.time === null) return [NONE, NONE];
  const { median, lowerQuartile, upperQuartile, tokensPerSecond } = arm.time;
  const range = `${lowerQuartile.toFixed(1)}-${upperQuartile.toFixed(1)}`;
  return [`${median.toFixed(1)} (${range})`, formatCount(tokensPerSecond)];
}

/** What others give for the setting, in the columns that it has. */
function publishedRow({ published }: StudyResults): string[][] {
  if (published === null) return [];
  const { source, loss } = published;
  const cells = [source, NONE, NONE, NONE, NONE, loss.toFixed(2)];
  return [[...cells, ...Array.from({ length: 6 }, () => NONE)]];
}

/** A study's arms, one a row. */
export function studyTable(results: StudyResults): SummaryTable {
  return {
    columns: [
      "Model",
      "Blocks × C",
      "Parameters",
      "FLOPs/token",
      "Seeds",
      "Held-out loss",
      "Bits/char",
      "Causal less this",
      "Train loss",
      "Alpha",
      "ms/step",
      "Tokens/s",
    ],
    rows: [
      ...results.arms.map((arm) => [
        arm.title,
        size(arm),
        formatCount(arm.parameters) + (arm.match?.to === "parameters" ? closeness(arm) : ""),
        formatShort(arm.flops) + (arm.match?.to === "flops" ? closeness(arm) : ""),
        String(arm.runs.length),
        formatEstimate(arm.loss),
        formatEstimate(arm.bits),
        formatDifference(arm.behind),
        formatEstimate(arm.trainLoss),
        formatEstimate(arm.alpha),
        ...timeCells(arm),
      ]),
      ...publishedRow(results),
    ],
  };
}

/** What a study comes to, in a sentence or two; null before it can be said. */
export function verdictSentence({ verdict }: StudyResults): string | null {
  if (verdict === null) return null;
  const { subject, rival, difference, stepTime } = verdict;
  const { mean, margin, count } = difference;
  const side = mean < 0 ? "below" : "above";
  const loss =
    margin === null
      ? `${subject}: ${formatLoss(Math.abs(mean))} nats ${side} ${rival}, with one seed.`
      : `${subject}: ${formatLoss(Math.abs(mean))} ± ${formatLoss(margin)} nats ${side} ${rival} (95 % interval of the paired difference, ${count} seeds).`;
  return stepTime === null
    ? loss
    : `${loss} A step takes ${stepTime.ratio.toFixed(2)} of the time of ${stepTime.rival}.`;
}

/** `97 %`, or `97 % (95-99)` where seeds differ. */
function formatShare(mean: number, low: number, high: number): string {
  const percent = (n: number) => Math.round(100 * n).toString();
  const range = percent(low) === percent(high) ? "" : ` (${percent(low)}-${percent(high)})`;
  return `${percent(mean)} %${range}`;
}

/** Shares of right answers: a row for each task and model, a column for each distance. */
export function probeTable({ tasks, arms }: ProbeResults): SummaryTable {
  const distances = arms.flatMap((arm) => arm.tasks)[0]?.beyond.x ?? [];
  return {
    columns: ["Task, model", "Within", ...distances.map((tokens) => `+${formatCount(tokens)}`)],
    rows: tasks.flatMap(({ name, title, chance }) => [
      ...arms.flatMap((arm) => {
        const found = arm.tasks.find((one) => one.name === name);
        if (found === undefined) return [];
        const { mean, low, high } = found.beyond;
        const within = found.within === null ? NONE : `${Math.round(100 * found.within.mean)} %`;
        const cells = mean.map((share, i) => formatShare(share, low[i]!, high[i]!));
        return [[`${title}: ${arm.title}`, within, ...cells]];
      }),
      [
        `${title}: chance`,
        ...Array.from({ length: distances.length + 1 }, () => `${Math.round(100 * chance)} %`),
      ],
    ]),
  };
}
