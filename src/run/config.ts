import { existsSync, readFileSync } from "node:fs";
import { WaveGPTError } from "../../lib/errors.js";
import { checkSettings } from "../config/resolve.js";
import type { Settings } from "../config/settings.js";
import { writeFileAtomic } from "./atomic.js";

/** What a run's `config.json` says beside the model's own keys. */
export interface RunConfig {
  /** The preset the settings were built on. */
  readonly preset: string;
  readonly settings: Settings;
  /** The text trained on. */
  readonly text: {
    readonly path: string;
    readonly title: string;
    readonly sha256: string;
    readonly characters: number;
    readonly trainTokens: number;
    readonly valTokens: number;
  };
  readonly steps: number;
  readonly stepsPerEpoch: number;
  readonly parameters: number;
  /** Where and with what the run was (last) computed. */
  readonly machine: {
    readonly device: string;
    readonly threads: number;
    readonly libtorch: string;
    readonly wavegpt: string;
    readonly node: string;
  };
}

/**
 * Writes `config.json`: the model's keys, which `fromPretrained` reads, at the top level, and the run's.
 * @param model the keys that `pretrainedConfig` gives
 */
export function writeRunConfig(
  path: string,
  model: Readonly<Record<string, unknown>>,
  run: RunConfig,
): void {
  writeFileAtomic(path, `${JSON.stringify({ ...model, ...run }, null, 2)}\n`);
}

/**
 * Reads a run's `config.json`.
 * @throws WaveGPTError ERR_WAVEGPT_RUN_FOLDER where it is missing or is not a run's
 */
export function readRunConfig(path: string): RunConfig {
  const fail = (what: string, cause?: unknown): never => {
    throw new WaveGPTError("ERR_WAVEGPT_RUN_FOLDER", `${path}: ${what}`, { cause });
  };
  if (!existsSync(path)) fail("there is no such file; expected the config.json of a run.");
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    fail(`cannot be read: ${(error as Error).message}`, error);
  }
  const config = content as RunConfig;
  if (typeof config?.settings !== "object" || typeof config.text?.sha256 !== "string") {
    fail("is not the config.json of a run: it lacks settings or text.");
  }
  const settings = { ...beforeRetention(content as Record<string, unknown>), ...config.settings };
  return { ...config, settings: checkSettings(settings) };
}

/** A causal run whose model does not say how many of its layers are retention is from before there was any. */
function beforeRetention(model: Readonly<Record<string, unknown>>): Partial<Settings> {
  return model.wavenet_mode === "causal" && model.wavenet_memory === undefined
    ? { wavenetMemory: 0 }
    : {};
}
