import type { ReportedRun } from "./runs.js";

/** A run in a line. Numbers are null where the run has not come that far. */
export interface RunSummary {
  readonly label: string;
  readonly model: string;
  readonly seed: number;
  readonly parameters: number;
  readonly steps: number;
  /** The last mean training loss, nats a token. */
  readonly trainLoss: number | null;
  /** The least held-out loss, nats a token, and the step of it. */
  readonly bestLoss: number | null;
  readonly bestStep: number | null;
  readonly bestBits: number | null;
  /** The held-out loss of the last evaluation, nats a token. */
  readonly lastLoss: number | null;
  /** The model's alpha at the end; null for GPT. */
  readonly alpha: number | null;
  /** Median over the run. */
  readonly tokensPerSecond: number | null;
  readonly seconds: number;
}

function median(values: readonly number[]): number | null {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length === 0) return null;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export function summarize(run: ReportedRun): RunSummary {
  const { config, train, val } = run;
  const best = val.reduce<(typeof val)[number] | null>(
    (least, record) => (least === null || record.loss < least.loss ? record : least),
    null,
  );
  const lastRecord = [...train, ...val].reduce((a, b) => (b.step >= a.step ? b : a));
  return {
    label: run.label,
    model: config.settings.model,
    seed: config.settings.seed,
    parameters: config.parameters,
    steps: lastRecord.step,
    trainLoss: train.at(-1)?.loss ?? null,
    bestLoss: best?.loss ?? null,
    bestStep: best?.step ?? null,
    bestBits: best?.bits_per_character ?? null,
    lastLoss: val.at(-1)?.loss ?? null,
    alpha: lastRecord.alpha,
    tokensPerSecond: median(train.map((record) => record.tokens_per_second)),
    seconds: Math.max(...[...train, ...val].map((record) => record.seconds)),
  };
}

/** Mean and standard deviation (of a sample; null for fewer than two). */
export interface Spread {
  readonly mean: number;
  readonly deviation: number | null;
}

export function spread(values: readonly (number | null)[]): Spread | null {
  const numbers = values.filter((value) => value !== null);
  if (numbers.length === 0) return null;
  const mean = numbers.reduce((sum, value) => sum + value, 0) / numbers.length;
  if (numbers.length === 1) return { mean, deviation: null };
  const squares = numbers.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, deviation: Math.sqrt(squares / (numbers.length - 1)) };
}
