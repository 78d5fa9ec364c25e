import { torch } from "../lib/index.js";
import { drawOrder } from "./config/forms.js";
import type { SettingsInput } from "./config/settings.js";
import { DataLoader } from "./data/index.js";
import { writeReport } from "./report/index.js";
import { saveCheckpoint, withWayOn } from "./run/checkpoints.js";
import { prepareRunFolder } from "./run/folder.js";
import { CapturedStep, checkCudaGraph } from "./training/captured-step.js";
import { CarriedHistory } from "./training/carried-history.js";
import { chooseDevice } from "./training/device.js";
import { evaluate } from "./training/evaluate.js";
import type { TrainEvent, TrainResult } from "./training/events.js";
import { Stopwatch } from "./training/meter.js";
import { openRun } from "./training/open.js";
import { Pace } from "./training/pace.js";
import { planRun } from "./training/plan.js";
import { precisionOf } from "./training/precision.js";
import { Recorder } from "./training/recorder.js";
import { samplePrompt, sampleText } from "./training/sample.js";
import { scheduleAt } from "./training/schedule.js";
import {
  buildModel,
  buildOptimizer,
  describeRun,
  heldOutBatches,
  modelVocabulary,
  restoreLatest,
  startEvent,
} from "./training/setup.js";
import {
  beginning,
  checkFinite,
  nonFinite,
  saveWeights,
  writeSnapshot,
} from "./training/snapshot.js";
import { loadTrainingText } from "./training/source.js";
import { trainStep } from "./training/step.js";
import { StepProfiler } from "./training/step-profiler.js";
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
  /**
   * Record a few steps, after those that warm up, as a Chrome trace that https://ui.perfetto.dev opens: in this file
   * (compressed where it ends in `.gz`), or with `true` in `profile.json` in the run's folder.
   */
  readonly profile?: string | true | undefined;
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
  checkCudaGraph(settings, device);
  const precision = precisionOf(settings.dtype, device);
  if (settings.threads > 0) torch.setNumThreads(settings.threads);

  // The text, and batches from it
  const text = await loadTrainingText(settings, resumed, emit);
  const { tokenizer } = text;
  const prompt = samplePrompt(tokenizer, settings);
  const { batchSize, blockSize, seed } = settings;
  const documentStart = settings.previous === "document" ? text.documentStart : null;
  const order = drawOrder(settings);
  using loader = new DataLoader({
    ...{ tokens: text.train, batchSize, blockSize, seed, order, device, documentStart },
  });
  const plan = planRun(settings, loader.stepsPerEpoch);
  const tokensPerStep = batchSize * blockSize;

  // The model and its optimizer
  torch.manualSeed(seed);
  using model = buildModel(settings, modelVocabulary(settings, tokenizer), device);
  using optimizer = buildOptimizer(settings, model, device);
  using history = new CarriedHistory(model);
  const trained = { model, optimizer, loader, history, device };
  const heldOut = heldOutBatches(settings, { tokens: text.val, documentStart }, model, device);

  // Everything is in order: begin to write, or go back to where the run was interrupted
  using _lock = prepareRunFolder(folder, existing);
  const restored = resumed ? restoreLatest(folder, trained, emit) : null;
  const progress = restored?.progress ?? beginning();
  const { schedule, lr } = scheduleAt(progress.step, optimizer, settings, plan);
  describeRun(run, text, model, plan, device);
  using recorder = new Recorder({
    ...{ path: folder.metrics, model, device, plan, tokensPerStep, progress, lr },
    meter: restored?.meter ?? null,
  });
  const stepOptions = { ...settings, precision, history };
  using captured = settings.cudaGraph
    ? new CapturedStep(model, optimizer, batchSize, stepOptions)
    : null;
  const pace = new Pace(plan, tokensPerStep);
  let savedAt = restored ? progress.step : -1;
  emit(startEvent(run, text, model, plan, device, restored ? progress.step : null));

  try {
    using profiler = new StepProfiler(run.profile, plan, progress.step, emit);
    for (;;) {
      const { step } = progress;
      const last = step >= plan.steps;

      // Evaluate on held-out text, keep the model if it is the best, and let it speak
      if ((step % plan.evalEvery === 0 || last) && progress.evaluatedAt !== step) {
        emit({ type: "evaluating", step });
        const timer = Stopwatch.started();
        const loss = await evaluate(model, heldOut, precision, signal);
        if (loss !== null) {
          if (!Number.isFinite(loss)) throw nonFinite(`The held-out loss became ${loss}`, step);
          const best = progress.best === null || loss < progress.best.loss;
          if (best) {
            saveWeights(folder.model, model);
            progress.best = { step, loss };
          }
          const bits = loss / Math.LN2 / text.charactersPerToken;
          const record = recorder.evaluated(loss, heldOut.targets / timer.seconds, bits);
          emit({ type: "val", record, best });
          if (settings.sampleTokens > 0) {
            const options = { prompt, tokens: settings.sampleTokens, seed: seed + step };
            const sample = await sampleText(model, tokenizer, options, signal);
            emit({ type: "sample", step, prompt, text: sample });
          }
          progress.evaluatedAt = step;
          pace.evaluation(timer.seconds);
        }
      }

      // Save
      const interrupted = signal?.aborted ?? false;
      const due = plan.checkpointEvery > 0 && step > 0 && step % plan.checkpointEvery === 0;
      if ((due || last || interrupted) && savedAt !== step) {
        const meter = recorder.settle();
        if (!Number.isFinite(meter.sum)) throw nonFinite(`The loss became ${meter.sum}`, step);
        checkFinite(model, step);
        const keep = settings.keepCheckpoints;
        const path = saveCheckpoint(folder.checkpoints, step, keep, (temporary) =>
          writeSnapshot(temporary, trained, progress, meter),
        );
        savedAt = step;
        emit({ type: "checkpoint", step, path });
      }
      if (last || interrupted) break;

      // Learn from one batch
      profiler.begin(step + 1);
      const timer = Stopwatch.started();
      recorder.training.start();
      {
        using _ = torch.scope();
        recorder.lr = schedule.lr;
        const batch = torch.profiler.recordFunction("data", () => loader.next());
        const result = captured?.run(batch) ?? trainStep(model, optimizer, batch, stepOptions);
        schedule.step();
        recorder.add(result.loss);
        progress.step++;
        if (progress.step % settings.logEvery === 0 || progress.step === plan.steps) {
          const loss = recorder.meanLoss();
          if (!Number.isFinite(loss)) throw nonFinite(`The loss became ${loss}`, progress.step);
          const record = recorder.trained(loss, result.gradientNorm?.number() ?? null);
          emit({ type: "train", record });
        }
      }
      recorder.training.stop();
      pace.step(timer.seconds);
      emit({ type: "step", ...pace.at(progress.step), lr: recorder.lr });
      await nextTurn();
      profiler.end(progress.step, signal?.aborted ?? false);
    }
    // A run stopped before its first evaluation has nothing to show yet.
    if (progress.evaluatedAt >= 0) writeReport([folder.path], folder.report);
  } catch (error) {
    throw withWayOn(error, folder.checkpoints);
  }

  const { step, best, seconds } = progress;
  const { steps } = plan;
  const result = { out: folder.path, step, steps, finished: step >= steps, best, seconds };
  emit({ type: "end", result });
  return result;
}
