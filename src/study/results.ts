import { decoderBlocks } from "../config/forms.js";
import { type RunConfig, readRunConfig } from "../run/config.js";
import { runFolder } from "../run/folder.js";
import { type MetricRecord, readMetrics } from "../run/metrics.js";
import type { Study } from "./arms.js";
import { type Band, band } from "./band.js";
import { finalRecord, runPath } from "./finished-run.js";
import type { StudyPlan } from "./plan.js";
import { byHistory, byPlace, type PositionLosses, readPositions } from "./position-losses.js";
import type { ResolvedArm } from "./resolve.js";
import { type Estimate, estimate, pairedDifference } from "./statistics.js";
import { readTiming, type StepTime, stepTime } from "./step-times.js";
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
    nLayers: decoderBlocks(settings),
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
