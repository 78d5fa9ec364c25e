import { WaveGPTError } from "../../lib/errors.js";
import { optim, type Tensor, torch } from "../../lib/index.js";
import { decoderBlocks } from "../config/forms.js";
import type { Settings } from "../config/settings.js";
import { UsageError } from "../config/usage-error.js";
import {
  EvaluationLoader,
  type EvaluationLoaderOptions,
  RunningEvaluationLoader,
} from "../data/index.js";
import { createModel, type LanguageModel, pretrainedConfig } from "../model/index.js";
import { writeFileAtomic } from "../run/atomic.js";
import { type CheckpointFolder, clearCheckpoints, listCheckpoints } from "../run/checkpoints.js";
import { writeRunConfig } from "../run/config.js";
import type { RunFolder } from "../run/folder.js";
import { BytePairTokenizer, type Tokenizer } from "../tokenizer/index.js";
import { packageVersion } from "../version.js";
import type { EvaluationBatches } from "./evaluate.js";
import type { TrainEvent } from "./events.js";
import type { MeterState } from "./meter.js";
import type { OpenedRun } from "./open.js";
import type { Plan } from "./plan.js";
import { type Progress, readSnapshot, type Trained } from "./snapshot.js";
import type { TrainingText } from "./source.js";

/** How many tokens a model is made for: the tokenizer's, rounded up as the settings say. */
export function modelVocabulary({ padVocabulary }: Settings, tokenizer: Tokenizer): number {
  const multiple = padVocabulary ?? (tokenizer instanceof BytePairTokenizer ? 64 : 1);
  return multiple * Math.ceil(tokenizer.vocabSize / multiple);
}

/**
 * A model with fresh weights.
 * @throws UsageError where the settings make no model
 */
export function buildModel(settings: Settings, vocabSize: number, device: string): LanguageModel {
  const { nEmbd, nHeads, blockSize, dropout, block, kernels } = settings;
  const wavenet = {
    mode: settings.wavenet,
    layers: settings.wavenetLayers,
    memory: settings.wavenetMemory,
    noise: settings.wavenetNoise,
    reshapeFactor: settings.wavenetReshapeFactor,
    history: settings.wavenetHistory,
    alpha: settings.wavenetAlpha,
  };
  // What initialisation makes on its way is freed; parameters belong to no scope.
  using _ = torch.scope();
  try {
    // Weights are drawn on the CPU, so that a seed gives the same model on every device.
    const model = createModel(settings.model, {
      vocabSize,
      nEmbd,
      nHeads,
      nLayers: decoderBlocks(settings),
      blockSize,
      dropout,
      block,
      kernels,
      wavenet,
    });
    return device === "cpu" ? model : model.to(device);
  } catch (error) {
    if (error instanceof WaveGPTError && error.code === "ERR_WAVEGPT_CONFIG") {
      throw new UsageError(error.message);
    }
    throw error;
  }
}

/** Half-lives of retention after which a token counts as forgotten: a sixteenth of its weight is left. */
const FORGOTTEN = 4;

/** As many tokens before a position as a model's output depends on, what it has all but forgotten left out. */
function reachOf({ receptiveField, memory }: LanguageModel): number | null {
  if (receptiveField === null || memory === null) return receptiveField;
  return receptiveField + Math.ceil(FORGOTTEN * Math.max(...memory.halfLives));
}

/** The held-out text, or as much of it as an evaluation takes. */
export function heldOutBatches(
  { batchSize, blockSize, evalBatches }: Settings,
  text: Pick<EvaluationLoaderOptions, "tokens" | "documentStart">,
  model: LanguageModel,
  device: string,
): EvaluationBatches {
  const maxBatches = evalBatches === 0 ? null : evalBatches;
  const options = { ...text, batchSize, blockSize, device };
  const reach = reachOf(model);
  if (reach !== null) return new RunningEvaluationLoader({ ...options, reach, maxBatches });
  const maxBlocks = maxBatches === null ? null : maxBatches * batchSize;
  return new EvaluationLoader({ ...options, maxBlocks });
}

/**
 * AdamW over all of a model's parameters, of which those that do not decay are a group of their own; on CUDA one that
 * takes the same steps captured or not.
 */
export function buildOptimizer(
  settings: Settings,
  model: LanguageModel,
  device = "cpu",
): optim.AdamW {
  const parameters = model.parameters();
  const decays = ({ shape }: Tensor) => settings.weightDecayOf === "all" || shape.length >= 2;
  const still = parameters.filter((parameter) => !decays(parameter));
  const groups = [
    { params: parameters.filter(decays) },
    ...(still.length > 0 ? [{ params: still, weightDecay: 0 }] : []),
  ];
  return new optim.AdamW(groups, {
    lr: settings.learningRate,
    betas: [settings.beta1, settings.beta2],
    eps: settings.eps,
    weightDecay: settings.weightDecay,
    capturable: device === "cuda",
  });
}

/** Writes what repeats the run: `config.json` and `tokenizer.json`. */
export function describeRun(
  { folder, preset, settings }: OpenedRun,
  text: TrainingText,
  model: LanguageModel,
  plan: Plan,
  device: string,
): void {
  writeFileAtomic(folder.tokenizer, `${JSON.stringify(text.tokenizer)}\n`);
  writeRunConfig(folder.config, pretrainedConfig(model), {
    preset,
    settings,
    text: {
      path: text.source.path,
      title: text.title,
      sha256: text.source.sha256,
      characters: text.characters,
      trainTokens: text.train.length,
      valTokens: text.val.length,
    },
    steps: plan.steps,
    stepsPerEpoch: plan.stepsPerEpoch,
    parameters: model.numParameters(),
    machine: {
      device,
      threads: torch.getNumThreads(),
      libtorch: torch.version,
      wavegpt: packageVersion(),
      node: process.versions.node,
    },
  });
}

/** What a run tells first; `resumedAt` is the step it goes on from, or null. */
export function startEvent(
  { folder, settings }: OpenedRun,
  text: TrainingText,
  model: LanguageModel,
  plan: Plan,
  device: string,
  resumedAt: number | null,
): TrainEvent {
  return {
    type: "start",
    out: folder.path,
    model: settings.model,
    parameters: model.numParameters(),
    receptiveField: model.receptiveField,
    memory: model.memory,
    device,
    threads: torch.getNumThreads(),
    dtype: settings.dtype,
    text: {
      title: text.title,
      path: text.source.path,
      characters: text.characters,
      tokenizer: text.tokenizer.type,
      vocabulary: text.tokenizer.vocabSize,
    },
    tokens: { train: text.train.length, val: text.val.length },
    plan,
    step: resumedAt ?? 0,
    resumed: resumedAt !== null,
  };
}

/**
 * Goes back to the newest checkpoint that is whole; one that is damaged is left out, with a notice.
 * @returns null where there is none: the run begins anew
 */
export function restoreLatest(
  folder: RunFolder,
  trained: Trained,
  emit: (event: TrainEvent) => void,
): { progress: Progress; meter: MeterState } | null {
  const damaged: CheckpointFolder[] = [];
  for (const checkpoint of listCheckpoints(folder.checkpoints).reverse()) {
    try {
      const restored = readSnapshot(checkpoint.path, trained);
      if (damaged.length > 0) {
        emit({
          type: "notice",
          message: `Damaged checkpoints were left out: ${damaged.map((d) => d.path).join(", ")}.`,
        });
      }
      clearCheckpoints(folder.checkpoints, checkpoint.step);
      return restored;
    } catch (error) {
      if (!(error instanceof WaveGPTError)) throw error;
      damaged.push(checkpoint);
    }
  }
  clearCheckpoints(folder.checkpoints, -1);
  emit({
    type: "notice",
    message: `${folder.path} has no ${damaged.length > 0 ? "undamaged " : ""}checkpoint yet, so the run begins anew.`,
  });
  return null;
}
