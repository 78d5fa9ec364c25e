import { optim, type Tensor, torch } from "../../lib/index.js";
import type { Settings } from "../config/settings.js";
import { chooseDevice, type TrainingDevice } from "../training/device.js";
import { RowReader } from "../training/row-reader.js";
import { buildModel, buildOptimizer } from "../training/setup.js";
import { nextTurn } from "../training/turn.js";
import { PROBE_VOCABULARY } from "./episode.js";
import { PROBE_TASKS } from "./index.js";
import { type ProbeBatch, ProbeStream } from "./stream.js";

export interface ProbeOptions {
  /** The name of one of {@link PROBE_TASKS}. */
  readonly task: string;
  /** The model, how it learns, and for how many steps. */
  readonly settings: Settings;
}

/** How well a model answers from a distance. */
export interface ProbeAccuracy {
  /** Tokens beyond the window; null is within it. */
  readonly beyond: number | null;
  readonly answers: number;
  readonly right: number;
}

export interface ProbeResult {
  readonly accuracy: readonly ProbeAccuracy[];
  /** Mean loss over the last tenth of the training's steps, nats an answer. */
  readonly loss: number;
  readonly seconds: number;
}

/** Answers from each distance that accuracies are over, at least. */
const ANSWERS = 256;
/** Windows after which counting ends, with however few answers, unless settings say how many to take. */
const MOST_WINDOWS = 4000;

/**
 * Trains a model on a synthetic text, of which it learns the answers only, and counts how often it is
 * right from each distance on another text of the same task.
 *
 * @returns null where `signal` was aborted
 */
export async function runProbe(
  { task: name, settings }: ProbeOptions,
  emit: (event: { step: number; steps: number; loss: number }) => void,
  signal: AbortSignal,
): Promise<ProbeResult | null> {
  const began = performance.now();
  const task = PROBE_TASKS.find((one) => one.name === name)!;
  const device = chooseDevice(settings.device);
  if (settings.threads > 0) torch.setNumThreads(settings.threads);
  const { batchSize: rows, blockSize: window, seed, clip } = settings;
  const steps = settings.steps!;
  torch.manualSeed(seed);
  using model = buildModel(settings, PROBE_VOCABULARY, device);
  using optimizer = buildOptimizer(settings, model, device);
  const schedule = new optim.schedules.WarmupCosineLR(optimizer, {
    warmupSteps: Math.max(1, Math.round(0.05 * steps)),
    totalSteps: steps,
    minLr: settings.minLearningRate,
  });
  const stream = new ProbeStream({ task, rows, window, seed, mix: "favour-short" });
  let recent = 0;
  {
    using reader = new RowReader(model);
    for (let step = 1; step <= steps; step++) {
      if (signal.aborted) return null;
      const loss = learn(reader, optimizer, stream.next(), { rows, window, clip, device });
      schedule.step();
      const share = 1 / Math.max(1, steps / 10);
      recent = step === 1 ? loss : recent + share * (loss - recent);
      if (step % 50 === 0 || step === steps) emit({ step, steps, loss: recent });
      await nextTurn();
    }
  }
  model.eval();
  // Another text than the one learnt from.
  const asked = new ProbeStream({ task, rows, window, seed: seed + 2 ** 31 });
  const accuracy = asked.distances.map(({ beyond }) => ({ beyond, answers: 0, right: 0 }));
  using reader = new RowReader(model);
  const windows = settings.evalBatches === 0 ? MOST_WINDOWS : settings.evalBatches;
  for (let i = 0; i < windows && accuracy.some(({ answers }) => answers < ANSWERS); i++) {
    if (signal.aborted) return null;
    count(reader, asked.next(), accuracy, rows, window, device);
    await nextTurn();
  }
  return { accuracy, loss: recent, seconds: (performance.now() - began) / 1000 };
}

function int64(values: Int32Array, rows: number, window: number, device: string): Tensor {
  return torch.fromTypedArray(values, [rows, window]).to("int64").to(device);
}

interface StepShape {
  readonly rows: number;
  readonly window: number;
  readonly clip: number;
  readonly device: TrainingDevice;
}

/** @returns the mean loss over the batch's answers; 0 for none, from which nothing is learnt */
function learn(
  reader: RowReader,
  optimizer: optim.Optimizer,
  { x, y, answers }: ProbeBatch,
  { rows, window, clip, device }: StepShape,
): number {
  using _ = torch.scope();
  const tokens = int64(x, rows, window, device);
  if (answers === 0) {
    torch.noGrad(() => reader.forward(tokens));
    return 0;
  }
  optimizer.zeroGrad();
  const { loss } = reader.forward(tokens, int64(y, rows, window, device));
  loss!.backward();
  if (clip > 0) optimizer.step({ maxNorm: clip });
  else optimizer.step();
  return loss!.number();
}

/** Adds a window's answers to the counts of their distances. */
function count(
  reader: RowReader,
  { x, y, distance, answers }: ProbeBatch,
  counts: { answers: number; right: number }[],
  rows: number,
  window: number,
  device: TrainingDevice,
): void {
  using _ = torch.scope();
  const { logits } = torch.noGrad(() => reader.forward(int64(x, rows, window, device)));
  if (answers === 0) return;
  const guesses = logits.argmax(-1).to("int32").cpu().toTypedArray() as Int32Array;
  for (const [at, choice] of distance.entries()) {
    if (choice < 0) continue;
    counts[choice]!.answers++;
    if (guesses[at] === y[at]) counts[choice]!.right++;
  }
}
