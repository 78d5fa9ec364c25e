import { WaveGPTError } from "../../lib/errors.js";
import { optim, torch } from "../../lib/index.js";
import { resolveSettings, type SettingSources } from "../config/resolve.js";
import { resumeSettings } from "../config/resume.js";
import type { Settings, SettingsInput } from "../config/settings.js";
import { UsageError } from "../config/usage-error.js";
import { createModel, type LanguageModel, pretrainedConfig } from "../model/index.js";
import { type CheckpointFolder, clearCheckpoints, listCheckpoints } from "../run/checkpoints.js";
import { type RunConfig, readRunConfig, writeRunConfig } from "../run/config.js";
import {
  checkRunFolder,
  type ExistingRun,
  freshRunPath,
  type RunFolder,
  runFolder,
} from "../run/folder.js";
import { packageVersion } from "../version.js";
import type { TrainEvent } from "./events.js";
import type { MeterState } from "./meter.js";
import type { Plan } from "./plan.js";
import { type Progress, readSnapshot, type Trained } from "./snapshot.js";
import type { TrainingText } from "./source.js";

/** What is settled before anything is computed: the settings and the folder, neither touched yet. */
export interface Opened {
  readonly preset: string;
  readonly settings: Settings;
  readonly folder: RunFolder;
  /** The run to go on with, or null for a new one. */
  readonly resumed: { readonly config: RunConfig; readonly tokenizer: string } | null;
}

/**
 * Resolves a run's settings and checks its folder.
 * @throws UsageError
 */
export function openRun(
  given: SettingsInput,
  options: {
    readonly preset?: string | undefined;
    readonly config?: string | undefined;
    readonly out?: string | undefined;
    readonly existing: ExistingRun;
  },
): Opened {
  const { preset, config, out, existing } = options;
  const sources: SettingSources = { preset, config, settings: given };
  if (existing !== "resume") {
    const resolved = resolveSettings(sources);
    const path = out ?? freshRunPath(resolved.settings.model);
    return { ...resolved, folder: checkRunFolder(path, existing), resumed: null };
  }
  if (out === undefined) {
    throw new UsageError("--resume: say which run to go on with: --resume DIR.");
  }
  const folder = checkRunFolder(out, existing);
  const stored = readRunConfig(folder.config);
  const resolved = resumeSettings(stored, sources);
  // The text is where it was when the run began, unless a place is given now.
  const data = given.data ?? stored.text.path;
  return {
    preset: resolved.preset,
    settings: { ...resolved.settings, data },
    folder,
    resumed: { config: stored, tokenizer: runFolder(out).tokenizer },
  };
}

/**
 * A model with fresh weights.
 * @throws UsageError where the settings make no model
 */
export function buildModel(settings: Settings, vocabSize: number, device: string): LanguageModel {
  const { nEmbd, nHeads, nLayers, blockSize, dropout, block } = settings;
  const wavenet = {
    mode: settings.wavenet,
    layers: settings.wavenetLayers,
    reshapeFactor: settings.wavenetReshapeFactor,
  };
  try {
    // Weights are drawn on the CPU, so that a seed gives the same model on every device.
    const model = createModel(settings.model, {
      vocabSize,
      nEmbd,
      nHeads,
      nLayers,
      blockSize,
      dropout,
      block,
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

/** AdamW over all of a model's parameters. */
export function buildOptimizer(settings: Settings, model: LanguageModel): optim.AdamW {
  return new optim.AdamW(model.parameters(), {
    lr: settings.learningRate,
    betas: [settings.beta1, settings.beta2],
    eps: settings.eps,
    weightDecay: settings.weightDecay,
  });
}

/** Writes what repeats the run: `config.json` and `tokenizer.json`. */
export function describeRun(
  { folder, preset, settings }: Opened,
  text: TrainingText,
  model: LanguageModel,
  plan: Plan,
  device: string,
): void {
  text.tokenizer.save(folder.tokenizer);
  writeRunConfig(folder.config, pretrainedConfig(model), {
    preset,
    settings,
    text: {
      path: text.source.path,
      title: text.title,
      sha256: text.source.sha256,
      characters: [...text.source.text].length,
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
