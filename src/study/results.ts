import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type RunConfig, readRunConfig } from "../run/config.js";
import { holdsRun, runFolder } from "../run/folder.js";
import { type MetricRecord, readMetrics } from "../run/metrics.js";
import type { Study } from "./arms.js";
import type { StudyPlan } from "./plan.js";
import { byHistory, byPlace, type PositionLosses } from "./position-means.js";
import type { ResolvedArm } from "./resolve.js";
import { type Estimate, estimate, pairedDifference } from "./statistics.js";
import type { StepTimes } from "./timing.js";

/** A finished run of an arm. */
export interface RunResult {
  readonly seed: number;
  /** Held-out loss after the last step, nats a token. */
  readonly loss: number;
  readonly bits: number | null;
  /** The last mean training loss, nats a token. */
  readonly trainLoss: number | null;
  readonly alpha: number | null;
  readonly seconds: number;
}

/** A value at several steps: its mean over seeds, and the least and largest. */
export interface Band {
  readonly x: readonly number[];
  readonly mean: readonly number[];
  readonly low: readonly number[];
  readonly high: readonly number[];
}

/** The milliseconds of a training step, over the rounds in which all arms were timed. */
export interface StepTime {
  readonly median: number;
  readonly lowerQuartile: number;
  readonly upperQuartile: number;
  readonly tokensPerSecond: number;
  readonly rounds: number;
}

export interface ArmResult {
  readonly id: string;
  readonly title: string;
  readonly nLayers: number;
  readonly nEmbd: number;
  readonly blockSize: number;
  readonly batchSize: number;
  readonly parameters: number;
  readonly flops: number;
  readonly match: ResolvedArm["match"];
  readonly runs: readonly RunResult[];
  readonly loss: Estimate | null;
  readonly bits: Estimate | null;
  readonly trainLoss: Estimate | null;
  readonly alpha: Estimate | null;
  /** Null where no timing was asked for. */
  readonly time: StepTime | null;
  /** The subject's loss less this arm's, by seed; null for the subject itself. */
  readonly behind: Estimate | null;
  readonly curves: { readonly heldOut: Band; readonly alpha: Band };
  /** Held-out loss by the position in the block and by the length of history; null where not looked at. */
  readonly positions: { readonly place: Band; readonly history: Band } | null;
}

/** All that a study found so far. */
export interface StudyResults {
  readonly study: string;
  readonly title: string;
  readonly steps: number;
  readonly seeds: readonly number[];
  readonly text: Pick<RunConfig["text"], "title" | "trainTokens" | "valTokens">;
  readonly machine: RunConfig["machine"];
  readonly published: NonNullable<Study["published"]> | null;
  readonly arms: readonly ArmResult[];
  /** The subject against the better of its rivals; null before both have a loss. */
  readonly verdict: {
    readonly subject: string;
    readonly rival: string;
    readonly difference: Estimate;
    /** The subject's median step time over that of the rival matched in operations. */
    readonly stepTime: { readonly rival: string; readonly ratio: number } | null;
  } | null;
}

export const TIMING_FILE = "timing.json";
/** In a run's folder. */
export const POSITIONS_FILE = "positions.json";

/** The folder of a run. */
export function runPath(out: string, arm: string, seed: number): string {
  return join(out, `${arm}-seed-${seed}`);
}

/** The last evaluation of a run that has done all its steps; null for one that has not. */
export function finalRecord(folder: string, steps: number): MetricRecord | null {
  if (!holdsRun(folder)) return null;
  const last = readMetrics(runFolder(folder).metrics).findLast(({ split }) => split === "val");
  return last !== undefined && last.step >= steps ? last : null;
}

function quantile(sorted: readonly number[], at: number): number {
  const place = at * (sorted.length - 1);
  const below = Math.floor(place);
  const lower = sorted[below]!;
  const upper = sorted[Math.min(below + 1, sorted.length - 1)]!;
  return lower + (upper - lower) * (place - below);
}

function stepTime(times: StepTimes | undefined): StepTime | null {
  if (times === undefined || times.milliseconds.length === 0) return null;
  const sorted = [...times.milliseconds].sort((a, b) => a - b);
  const median = quantile(sorted, 0.5);
  return {
    median,
    lowerQuartile: quantile(sorted, 0.25),
    upperQuartile: quantile(sorted, 0.75),
    tokensPerSecond: (1000 * times.tokensPerStep) / median,
    rounds: sorted.length,
  };
}

/** The timing that a study's folder holds, or none. */
export function readTiming(out: string): readonly StepTimes[] {
  const path = join(out, TIMING_FILE);
  return existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as StepTimes[]) : [];
}

function metricBand(
  runs: readonly (readonly MetricRecord[])[],
  pick: (record: MetricRecord) => number | null,
): Band {
  return band(
    runs.map((records) =>
      records.flatMap((record) => {
        const value = pick(record);
        return value === null ? [] : [[record.step, value] as const];
      }),
    ),
  );
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

/** What {@link POSITIONS_FILE} holds: the losses, and the step they were taken after. */
export interface StoredPositions extends PositionLosses {
  readonly step: number;
}

/** The losses by position that a run's folder holds, or null where there are none of its last step. */
export function readPositions(folder: string, step: number): PositionLosses | null {
  const path = join(folder, POSITIONS_FILE);
  if (!existsSync(path)) return null;
  const stored = JSON.parse(readFileSync(path, "utf8")) as StoredPositions;
  return stored.step === step ? stored : null;
}

function positionBands(all: readonly PositionLosses[]): ArmResult["positions"] {
  if (all.length === 0) return null;
  const pairs = ({ x, y }: { x: number[]; y: number[] }) => x.map((at, i) => [at, y[i]!] as const);
  return {
    place: band(all.map((one) => pairs(byPlace(one)))),
    history: band(all.map((one) => pairs(byHistory(one)))),
  };
}

interface ArmRuns {
  readonly resolved: ResolvedArm;
  readonly runs: readonly RunResult[];
  readonly losses: ReadonlyMap<number, number>;
  readonly records: readonly (readonly MetricRecord[])[];
  readonly positions: readonly PositionLosses[];
}

function readArm(resolved: ResolvedArm, { out, seeds }: StudyPlan): ArmRuns {
  const runs: RunResult[] = [];
  const records: MetricRecord[][] = [];
  const positions: PositionLosses[] = [];
  for (const seed of seeds) {
    const folder = runPath(out, resolved.arm.id, seed);
    const final = finalRecord(folder, resolved.settings.steps!);
    if (final === null) continue;
    const all = readMetrics(runFolder(folder).metrics);
    records.push(all);
    const losses = readPositions(folder, final.step);
    if (losses !== null) positions.push(losses);
    runs.push({
      seed,
      loss: final.loss,
      bits: final.bits_per_character ?? null,
      trainLoss: all.findLast(({ split }) => split === "train")?.loss ?? null,
      alpha: final.alpha,
      seconds: final.seconds,
    });
  }
  const losses = new Map(runs.map(({ seed, loss }) => [seed, loss]));
  return { resolved, runs, losses, records, positions };
}

const isNumber = (value: number | null): value is number => value !== null;

function armResult(
  { resolved, runs, losses, records, positions }: ArmRuns,
  subject: ArmRuns | undefined,
  times: readonly StepTimes[],
): ArmResult {
  const { arm, settings, parameters, flops, match } = resolved;
  const over = (pick: (run: RunResult) => number | null) =>
    estimate(runs.map(pick).filter(isNumber));
  const isSubject = subject?.resolved.arm.id === arm.id;
  return {
    id: arm.id,
    title: arm.title,
    nLayers: settings.nLayers,
    nEmbd: settings.nEmbd,
    blockSize: settings.blockSize,
    batchSize: settings.batchSize,
    parameters,
    flops,
    match,
    runs,
    loss: over((run) => run.loss),
    bits: over((run) => run.bits),
    trainLoss: over((run) => run.trainLoss),
    alpha: over((run) => run.alpha),
    time: stepTime(times.find(({ id }) => id === arm.id)),
    behind: subject === undefined || isSubject ? null : pairedDifference(subject.losses, losses),
    curves: {
      heldOut: metricBand(records, ({ split, loss }) => (split === "val" ? loss : null)),
      alpha: metricBand(records, ({ alpha }) => alpha),
    },
    positions: positionBands(positions),
  };
}

function verdictOf(plan: StudyPlan, arms: readonly ArmResult[]): StudyResults["verdict"] {
  const named = (id: string) => arms.find((arm) => arm.id === id);
  const subject = named(plan.study.subject);
  const rivals = plan.study.rivals.map(named);
  if (subject === undefined || rivals.some((rival) => !rival?.behind)) return null;
  const better = (rivals as ArmResult[]).reduce((a, b) => (b.loss!.mean < a.loss!.mean ? b : a));
  const costly = (rivals as ArmResult[]).find(({ match }) => match?.to === "flops");
  const timed = subject.time !== null && costly?.time != null;
  return {
    subject: subject.title,
    rival: better.title,
    difference: better.behind!,
    stepTime: timed
      ? { rival: costly.title, ratio: subject.time.median / costly.time!.median }
      : null,
  };
}

/** Gathers a study's finished runs; null where there is none yet. */
export function gatherResults(
  plan: StudyPlan,
  resolved: readonly ResolvedArm[],
): StudyResults | null {
  const arms = resolved.map((arm) => readArm(arm, plan));
  const done = arms.find(({ runs }) => runs.length > 0);
  if (done === undefined) return null;
  const folder = runPath(plan.out, done.resolved.arm.id, done.runs[0]!.seed);
  const { text, machine } = readRunConfig(runFolder(folder).config);
  const subject = arms.find(({ resolved: { arm } }) => arm.id === plan.study.subject);
  const times = readTiming(plan.out);
  const results = arms.map((arm) => armResult(arm, subject, times));
  return {
    study: plan.study.name,
    title: plan.study.title,
    steps: plan.settings.steps!,
    seeds: plan.seeds,
    text: { title: text.title, trainTokens: text.trainTokens, valTokens: text.valTokens },
    machine,
    published: plan.study.published ?? null,
    arms: results,
    verdict: verdictOf(plan, results),
  };
}
