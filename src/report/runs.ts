import { basename, resolve } from "node:path";
import { WaveGPTError } from "../../lib/errors.js";
import { type RunConfig, readRunConfig } from "../run/config.js";
import { runFolder } from "../run/folder.js";
import { type MetricRecord, readMetrics } from "../run/metrics.js";

/** A run as a report shows it. */
export interface ReportedRun {
  /** Tells it from the report's other runs. */
  readonly label: string;
  readonly folder: string;
  readonly config: RunConfig;
  readonly train: readonly MetricRecord[];
  readonly val: readonly MetricRecord[];
}

/** `WaveGPT`, `GPT` or `nanoGPT`. */
export function modelTitle(model: string): string {
  return model === "wavegpt" ? "WaveGPT" : model === "nanogpt" ? "nanoGPT" : "GPT";
}

function labels(runs: readonly { folder: string; config: RunConfig }[]): string[] {
  const forms: ((run: { folder: string; config: RunConfig }) => string)[] = [
    ({ config }) => modelTitle(config.settings.model),
    ({ config }) => `${modelTitle(config.settings.model)}, seed ${config.settings.seed}`,
    ({ config, folder }) => `${modelTitle(config.settings.model)}, ${basename(folder)}`,
    ({ config, folder }) => `${modelTitle(config.settings.model)}, ${folder}`,
  ];
  const told = forms.map((form) => runs.map(form));
  return told.find((names) => new Set(names).size === names.length) ?? told.at(-1)!;
}

/**
 * Reads runs, finished or not.
 * @throws WaveGPTError ERR_WAVEGPT_RUN_FOLDER where a folder holds no run or the run has no metrics yet
 */
export function readRuns(paths: readonly string[]): ReportedRun[] {
  if (paths.length === 0) {
    throw new WaveGPTError("ERR_WAVEGPT_RUN_FOLDER", "A report needs at least one run's folder.");
  }
  const runs = [...new Set(paths.map((path) => resolve(path)))].map((path) => {
    const folder = runFolder(path);
    const config = readRunConfig(folder.config);
    const records = readMetrics(folder.metrics);
    if (records.length === 0) {
      throw new WaveGPTError(
        "ERR_WAVEGPT_RUN_FOLDER",
        `${folder.metrics} has no lines yet: there is nothing to report.`,
      );
    }
    return {
      folder: path,
      config,
      train: records.filter((record) => record.split === "train"),
      val: records.filter((record) => record.split === "val"),
    };
  });
  const names = labels(runs);
  return runs.map((run, i) => ({ ...run, label: names[i]! }));
}
