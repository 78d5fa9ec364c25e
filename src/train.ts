import { safetensors, torch } from "../lib/index.js";
import type { SettingsInput } from "./config/settings.js";
import { DataLoader, EvaluationLoader } from "./data/index.js";
import { writeReport } from "./report/index.js";
import { saveCheckpoint, withWayOn } from "./run/checkpoints.js";
import { prepareRunFolder } from "./run/folder.js";
import { MetricsFile } from "./run/metrics.js";
import { chooseDevice } from "./training/device.js";
import { evaluate } from "./training/evaluate.js";
import type { TrainEvent, TrainResult } from "./training/events.js";
import { LossMeter, Stopwatch } from "./training/meter.js";
import { openRun } from "./training/open.js";
import { Pace } from "./training/pace.js";
import { planRun } from "./training/plan.js";
import { precisionOf } from "./training/precision.js";
import { samplePrompt, sampleText } from "./training/sample.js";
import { createSchedule } from "./training/schedule.js";
import { buildModel, buildOptimizer, describeRun, restoreLatest } from "./training/setup.js";
import { checkFinite, nonFinite, type Progress, writeSnapshot } from "./training/snapshot.js";
import { loadTrainingText } from "./training/source.js";
import { trainStep } from "./training/step.js";
import { nextTurn } from "./training/turn.js";

export type { BestModel, TrainEvent, TrainResult } from "./training/events.js";

export interface TrainOptions {
  /** Settings by name, below `config` and the settings given. Default `"shakespeare"`. */
  readonly preset?: string | undefined;
  /** Path of a TOML or JSON file of settings, below the settings given. */
  readonly config?: string | undefined;
  /** The run's folder. Default: a new one in `runs/`, named after the time and the model. */
  readonly out?: string | undefined;
  /** Go on with the run in `out`, bit for bit as if it had not been interrupted. */
  readonly resume?: boolean;
  /** Replace the run in `out`. */
  readonly overwrite?: boolean;
  /** When aborted, the step is finished, the run saved and the result returned with `finished: false`. */
  readonly signal?: AbortSignal | undefined;
  /** Told what happens, as it happens. */
  readonly onEvent?: ((event: TrainEvent) => void) | undefined;
}

/**
 * Trains a model on a text and writes the run's folder: configuration, tokenizer, metrics, checkpoints,
 * the best model by held-out loss and a report.
 *
 * @throws UsageError for settings or a folder that cannot be used, before anything is written
 * @throws WaveGPTError ERR_WAVEGPT_NON_FINITE where the loss or a weight is no longer a number,
 * ERR_WAVEGPT_WRITE where the disk is full or may not be written to; the last checkpoint stays whole
 */
export async function train(
  given: SettingsInput = {},
  options: TrainOptions = {},
): Promise<TrainResult> {
  const emit = options.onEvent ?? (() => {});
  const { signal } = options;
  const existing = options.resume ? "resume" : options.overwrite ? "overwrite" : "refuse";

  // What to train, and in which folder
  const run = openRun(given, { ...options, existing });
  const { settings, folder, resumed } = run;

  // Where to compute
  const device = chooseDevice(settings.device);
  const precision = precisionOf(settings.dtype, device);
  if (settings.threads > 0) torch.setNumThreads(settings.threads);

  // The text, and batches from it
  const text = await loadTrainingText(settings, resumed, emit);
  const { tokenizer } = text;
  const prompt = samplePrompt(tokenizer, settings);
  const { batchSize, blockSize, seed } = settings;
  const loader = new DataLoader({ tokens: text.train, batchSize, blockSize, seed, device });
  const heldOut = new EvaluationLoader({
    tokens: text.val,
    batchSize,
    blockSize,
    maxBlocks: settings.evalBatches === 0 ? null : settings.evalBatches * batchSize,
    device,
  });
  const plan = planRun(settings, loader.stepsPerEpoch);
  const tokensPerStep = batchSize * blockSize;

  // The model and its optimizer
  torch.manualSeed(seed);
  const model = buildModel(settings, tokenizer.vocabSize, device);
  const optimizer = buildOptimizer(settings, model);
  const trained = { model, optimizer, loader, device };

  // Everything is in order: write, or go on where the run was interrupted
  prepareRunFolder(folder, existing);
  const restored = resumed ? restoreLatest(folder, trained, emit) : null;
  const progress: Progress = restored?.progress ?? {
    step: 0,
    evaluatedAt: -1,
    best: null,
    seconds: 0,
  };
  for (const group of optimizer.paramGroups) group.lr = settings.learningRate;
  const schedule = createSchedule(optimizer, settings, plan);
  let lastLr = schedule.lr;
  for (let step = 0; step < progress.step; step++) {
    lastLr = schedule.lr;
    schedule.step();
  }
  describeRun(run, text, model, plan, device);
  const metrics = new MetricsFile(folder.metrics, restored ? progress.step : null);
  const meter = new LossMeter(device, restored?.meter);
  const pace = new Pace(plan, tokensPerStep);
  const window = new Stopwatch();
  let savedAt = restored ? progress.step : -1;
  let began = performance.now();

  const record = (split: "train" | "val", loss: number, tokensPerSecond: number) => ({
    step: progress.step,
    split,
    loss,
    lr: lastLr,
    tokens: progress.step * tokensPerStep,
    tokens_per_second: Math.round(tokensPerSecond),
    alpha: model.alpha(),
    epoch: progress.step / plan.stepsPerEpoch,
    seconds: progress.seconds,
  });
  const clock = () => {
    const now = performance.now();
    progress.seconds += (now - began) / 1000;
    began = now;
  };

  emit({
    type: "start",
    out: folder.path,
    model: settings.model,
    parameters: model.numParameters(),
    device,
    threads: torch.getNumThreads(),
    dtype: settings.dtype,
    text: {
      title: text.title,
      path: text.source.path,
      characters: [...text.source.text].length,
      vocabulary: tokenizer.vocabSize,
    },
    tokens: { train: text.train.length, val: text.val.length },
    plan,
    step: progress.step,
    resumed: restored !== null,
  });

  try {
    for (;;) {
      const { step } = progress;
      const last = step >= plan.steps;

      // Evaluate on held-out text, keep the model if it is the best, and let it speak
      if ((step % plan.evalEvery === 0 || last) && progress.evaluatedAt !== step) {
        emit({ type: "evaluating", step });
        const evaluation = new Stopwatch();
        evaluation.start();
        const loss = await evaluate(model, heldOut, precision, signal);
        if (loss !== null) {
          if (!Number.isFinite(loss)) throw nonFinite(`The held-out loss became ${loss}`, step);
          const best = progress.best === null || loss < progress.best.loss;
          if (best) {
            using _ = torch.scope();
            safetensors.save(folder.model, model.stateDict(), { format: "pt" });
            progress.best = { step, loss };
          }
          clock();
          const line = {
            ...record("val", loss, heldOut.targets / evaluation.seconds),
            bits_per_character: loss / Math.LN2 / text.charactersPerToken,
          };
          metrics.append(line);
          emit({ type: "val", record: line, best });
          if (settings.sampleTokens > 0) {
            const options = { prompt, tokens: settings.sampleTokens, seed: seed + step };
            const sample = await sampleText(model, tokenizer, options, signal);
            emit({ type: "sample", step, prompt, text: sample });
          }
          progress.evaluatedAt = step;
          pace.evaluation(evaluation.seconds);
        }
      }

      // Save
      const interrupted = signal?.aborted ?? false;
      const due = plan.checkpointEvery > 0 && step > 0 && step % plan.checkpointEvery === 0;
      if ((due || last || interrupted) && savedAt !== step) {
        const state = meter.state();
        if (!Number.isFinite(state.sum)) throw nonFinite(`The loss became ${state.sum}`, step);
        checkFinite(model, step);
        metrics.sync();
        clock();
        const path = saveCheckpoint(
          folder.checkpoints,
          step,
          settings.keepCheckpoints,
          (temporary) => writeSnapshot(temporary, trained, progress, state),
        );
        savedAt = step;
        emit({ type: "checkpoint", step, path });
      }
      if (last || interrupted) break;

      // Learn from one batch
      window.start();
      const stepWatch = new Stopwatch();
      stepWatch.start();
      {
        using _ = torch.scope();
        const batch = loader.next();
        lastLr = schedule.lr;
        const result = trainStep(model, optimizer, batch, { ...settings, precision });
        meter.add(result.loss);
        schedule.step();
        progress.step++;
        if (progress.step % settings.logEvery === 0 || progress.step === plan.steps) {
          const gradientNorm = result.gradientNorm?.number() ?? null;
          const loss = meter.mean();
          if (!Number.isFinite(loss)) throw nonFinite(`The loss became ${loss}`, progress.step);
          clock();
          const line = {
            ...record("train", loss, (meter.count * tokensPerStep) / window.seconds),
            ...(gradientNorm === null ? {} : { grad_norm: gradientNorm }),
          };
          metrics.append(line);
          meter.reset();
          window.reset();
          emit({ type: "train", record: line });
        }
      }
      window.stop();
      pace.step(stepWatch.seconds);
      emit({
        type: "step",
        step: progress.step,
        steps: plan.steps,
        lr: lastLr,
        tokensPerSecond: pace.tokensPerSecond,
        secondsLeft: pace.secondsLeft(progress.step),
      });
      await nextTurn();
    }
    clock();
    // A run stopped before its first evaluation has nothing to show yet.
    if (progress.evaluatedAt >= 0) writeReport([folder.path], folder.report);
  } catch (error) {
    throw withWayOn(error, folder.checkpoints);
  } finally {
    metrics.close();
    meter.dispose();
    optimizer.dispose();
    model.dispose();
  }

  const result: TrainResult = {
    out: folder.path,
    step: progress.step,
    steps: plan.steps,
    finished: progress.step >= plan.steps,
    best: progress.best,
    seconds: progress.seconds,
  };
  emit({ type: "end", result });
  return result;
}
