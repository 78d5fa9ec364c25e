import { readConfigFile } from "./file.js";
import { presetNamed } from "./presets.js";
import { checkSettings, type ResolvedSettings, type SettingSources } from "./resolve.js";
import { flagOf, type SettingName, type Settings } from "./settings.js";
import { tokenizerPath } from "./tokenizer.js";
import { UsageError } from "./usage-error.js";

/** What makes a run that run: a resumed one cannot have it otherwise. */
const FIXED: readonly SettingName[] = [
  "model",
  "wavenet",
  "wavenetLayers",
  "wavenetMemory",
  "wavenetNoise",
  "wavenetReshapeFactor",
  "wavenetHistory",
  "wavenetAlpha",
  "block",
  "nEmbd",
  "nHeads",
  "nLayers",
  "blockSize",
  "trainFraction",
  "tokenizer",
  "unknown",
  "vocabSize",
  "padVocabulary",
  "previous",
  "order",
  "batchSize",
  "weightDecayOf",
  "evalBatches",
  "seed",
];

/**
 * The settings of a run that goes on: its own, and those given now, which may change how long it runs,
 * how it reports and where it computes.
 * @throws UsageError where what is given would make it another run.
 */
export function resumeSettings(
  stored: ResolvedSettings,
  sources: SettingSources = {},
): ResolvedSettings {
  const file = sources.config
    ? readConfigFile(sources.config)
    : { preset: undefined, settings: {} };
  const preset = sources.preset ?? file.preset;
  const own: Record<string, unknown> = { ...file.settings };
  for (const [name, value] of Object.entries(sources.settings ?? {})) {
    if (value !== undefined) own[name] = value;
  }
  const form = { wavenet: stored.settings.wavenet, ...own };
  const given: Record<string, unknown> = { ...(preset ? presetNamed(preset, form) : {}), ...own };
  if (typeof given.tokenizer === "string") given.tokenizer = tokenizerPath(given.tokenizer);
  // A number of epochs replaces a number of steps, as it would in a new run.
  const base: Partial<Settings> = { ...stored.settings };
  if (given.epochs !== undefined && given.steps === undefined) delete base.steps;
  const settings = checkSettings({ ...base, ...given });
  const changed = FIXED.filter((name) => name in given && settings[name] !== stored.settings[name]);
  if (changed.length > 0) {
    const list = changed.map(
      (name) =>
        `${flagOf(name)} (the run has ${JSON.stringify(stored.settings[name]) ?? "its default"}, got ${JSON.stringify(settings[name])})`,
    );
    throw new UsageError(`--resume: a run cannot go on with another ${list.join(", ")}.`);
  }
  return { preset: preset ?? stored.preset, settings };
}
