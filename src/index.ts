// For `using` in the declarations, whatever "lib" the user's project has.
/// <reference lib="esnext.disposable" preserve="true" />
/**
 * `wavegpt`: models, tokenizers, data, training and generation.
 *
 * @packageDocumentation
 */
export {
  type CompareEvent,
  type CompareOptions,
  type CompareResult,
  compare,
} from "./compare.js";
export { presets } from "./config/presets.js";
export { type ResolvedSettings, resolveSettings, type SettingSources } from "./config/resolve.js";
export type { Settings, SettingsInput } from "./config/settings.js";
export { UsageError } from "./config/usage-error.js";
export * from "./data/index.js";
export { type GenerateOptions, generate, generateTokens } from "./generate.js";
export * from "./model/index.js";
export { type RunSummary, writeReport } from "./report/index.js";
export { type LoadedRun, loadRun } from "./run/load.js";
export type { MetricRecord } from "./run/metrics.js";
export { type SamplingOptions, sampleToken } from "./sampling.js";
export * from "./tokenizer/index.js";
export {
  type BestModel,
  type TrainEvent,
  type TrainOptions,
  type TrainResult,
  train,
} from "./train.js";
