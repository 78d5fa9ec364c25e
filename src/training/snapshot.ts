import { readFileSync } from "node:fs";
import { join } from "node:path";
import { WaveGPTError } from "../../lib/errors.js";
import { type optim, safetensors, torch } from "../../lib/index.js";
import type { DataLoader, DataLoaderState } from "../data/index.js";
import type { LanguageModel } from "../model/index.js";
import { writeFileAtomic } from "../run/atomic.js";
import { writing } from "../run/failure.js";
import type { CarriedHistory } from "./carried-history.js";
import type { BestModel } from "./events.js";
import type { MeterState } from "./meter.js";
import { captureRandomState, type RandomState, restoreRandomState } from "./random-state.js";

/** Where in its run a model is: all that is needed to go on, beside weights and optimizer. */
export interface Progress {
  /** Optimizer steps done. */
  step: number;
  /** The last step an evaluation was finished after, or -1. */
  evaluatedAt: number;
  best: BestModel | null;
  /** Seconds spent so far. */
  seconds: number;
}

/** Where a run begins. */
export function beginning(): Progress {
  return { step: 0, evaluatedAt: -1, best: null, seconds: 0 };
}

/** `state.json` of a checkpoint. */
interface SavedState extends Progress {
  readonly version: 1;
  readonly meter: MeterState;
  readonly loader: DataLoaderState;
  /** Whether there is a `history.safetensors` beside. */
  readonly carriesHistory?: boolean;
  readonly random: RandomState;
  readonly optimizer: unknown;
}

/** What a snapshot reads and sets. */
export interface Trained {
  readonly model: LanguageModel;
  readonly optimizer: optim.Optimizer;
  readonly loader: DataLoader;
  readonly history: CarriedHistory;
  readonly device: string;
}

/** @throws WaveGPTError ERR_WAVEGPT_NON_FINITE naming the first parameter with a NaN or infinite element. */
export function checkFinite(model: LanguageModel, step: number): void {
  using _ = torch.scope();
  const parameters = model.namedParameters();
  // One wait for the device, unless something is wrong.
  const finite = torch.noGrad(() =>
    torch.stack(parameters.map(([, parameter]) => parameter.isfinite().all())),
  );
  const flags = finite.cpu().tolist() as boolean[];
  const broken = flags.indexOf(false);
  if (broken >= 0)
    throw nonFinite(`The parameter ${parameters[broken]![0]} is no longer finite`, step);
}

/** The error that ends a run whose numbers broke. */
export function nonFinite(what: string, step: number): WaveGPTError {
  return new WaveGPTError(
    "ERR_WAVEGPT_NON_FINITE",
    `${what} (NaN or infinity) at step ${step}, so the run was stopped; nothing of it was saved. The checkpoints and the best model before are whole. A lower --learning-rate, --clip 1 or --dtype float32 may help.`,
  );
}

/** Replaces a file of weights whole. */
export function saveWeights(path: string, model: LanguageModel): void {
  using _ = torch.scope();
  writing(path, () => safetensors.save(path, model.stateDict(), { format: "pt" }));
}

/** Fills a checkpoint's folder. */
export function writeSnapshot(
  folder: string,
  { model, optimizer, loader, history, device }: Trained,
  progress: Progress,
  meter: MeterState,
): void {
  using _ = torch.scope();
  const { tensors, config } = optimizer.stateTensors();
  saveWeights(join(folder, "model.safetensors"), model);
  safetensors.save(join(folder, "optimizer.safetensors"), tensors, { format: "pt" });
  const carried = history.tensors();
  const carriesHistory = Object.keys(carried).length > 0;
  if (carriesHistory) {
    safetensors.save(join(folder, "history.safetensors"), carried, { format: "pt" });
  }
  const state: SavedState = {
    version: 1,
    ...progress,
    meter,
    loader: loader.state(),
    carriesHistory,
    random: captureRandomState(device),
    optimizer: config,
  };
  writeFileAtomic(join(folder, "state.json"), `${JSON.stringify(state)}\n`);
}

/**
 * Sets model, optimizer, loader and random numbers to what a checkpoint holds.
 * @throws WaveGPTError where a file of the checkpoint is damaged
 */
export function readSnapshot(
  folder: string,
  { model, optimizer, loader, history, device }: Trained,
): { progress: Progress; meter: MeterState } {
  using _ = torch.scope();
  let state: SavedState;
  try {
    state = JSON.parse(readFileSync(join(folder, "state.json"), "utf8")) as SavedState;
  } catch (error) {
    throw new WaveGPTError("ERR_WAVEGPT_CHECKPOINT", `state.json is not valid JSON.`, {
      cause: error,
    });
  }
  if (state.version !== 1) {
    throw new WaveGPTError(
      "ERR_WAVEGPT_CHECKPOINT",
      `state.json: expected version 1, got ${JSON.stringify(state.version)}.`,
    );
  }
  // Read all files before changing anything: any may be damaged.
  const weights = safetensors.load(join(folder, "model.safetensors"));
  const moments = safetensors.load(join(folder, "optimizer.safetensors"));
  const carried = state.carriesHistory ? safetensors.load(join(folder, "history.safetensors")) : {};
  history.load(carried);
  model.loadStateDict(weights);
  optimizer.loadStateTensors(moments, state.optimizer as never);
  loader.loadState(state.loader);
  restoreRandomState(state.random, device);
  const { step, evaluatedAt, best, seconds, meter } = state;
  return { progress: { step, evaluatedAt, best, seconds }, meter };
}
