import type * as z from "zod";
import { expectation } from "./expectation.js";
import { type FileSettings, readConfigFile } from "./file.js";
import { drawOrder, isCausal, OF_FORM } from "./forms.js";
import { DEFAULT_PRESET, presetNamed } from "./presets.js";
import { flagOf, type Settings, type SettingsInput, settingsSchema } from "./settings.js";
import { UsageError } from "./usage-error.js";

/** Where settings come from; each overrides those before it. */
export interface SettingSources {
  /** A preset's name; default: the file's, or `shakespeare`. */
  readonly preset?: string | undefined;
  /** What a command sets otherwise than the preset. */
  readonly defaults?: SettingsInput | undefined;
  /** Path of a TOML or JSON file. */
  readonly config?: string | undefined;
  /** Settings given one by one (flags). */
  readonly settings?: Readonly<Record<string, unknown>>;
}

export interface ResolvedSettings {
  readonly preset: string;
  readonly settings: Settings;
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (value, key) => (value as Record<PropertyKey, unknown> | undefined)?.[key],
    input,
  );
}

function sentence(issue: z.core.$ZodIssue, input: unknown): string {
  const name = String(issue.path[0] ?? "settings");
  const value = JSON.stringify(valueAt(input, issue.path)) ?? "nothing";
  return `${name} (${flagOf(name)}): ${expectation(issue)}, got ${value}.`;
}

const WARMING_UP: readonly Settings["schedule"][] = [
  "linear-warmup",
  "cosine",
  "warmup-stable-decay",
];

function checkTogether(settings: Settings): void {
  const problems: string[] = [];
  if (settings.nEmbd % settings.nHeads !== 0) {
    problems.push(
      `nHeads (--n-heads): expected a divisor of the width ${settings.nEmbd}, got ${settings.nHeads}.`,
    );
  }
  for (const [name, form] of Object.entries(OF_FORM)) {
    const value = settings[name as keyof typeof OF_FORM];
    if (value !== undefined && settings.wavenet !== form) {
      problems.push(
        `${name} (${flagOf(name)}): only a WaveNet of the form ${form} has it; expected none with --wavenet ${settings.wavenet}, got ${JSON.stringify(value)}.`,
      );
    }
  }
  if (settings.batchSize % settings.accumulate !== 0) {
    problems.push(
      `accumulate (--accumulate): expected a divisor of the batch size ${settings.batchSize}, got ${settings.accumulate}.`,
    );
  }
  if (settings.unknown !== undefined && [...settings.unknown].length !== 1) {
    problems.push(
      `unknown (--unknown): expected one character, got ${JSON.stringify(settings.unknown)}.`,
    );
  }
  if (settings.unknown !== undefined && settings.tokenizer !== "char") {
    problems.push(
      `unknown (--unknown): only the vocabulary of --tokenizer char lacks characters; expected none with ${settings.tokenizer}.`,
    );
  }
  if (settings.warmupSteps > 0 && !WARMING_UP.includes(settings.schedule)) {
    problems.push(
      `warmupSteps (--warmup-steps): the schedule ${settings.schedule} has no warm-up; expected 0, or a --schedule among ${WARMING_UP.join(", ")}, got ${settings.warmupSteps}.`,
    );
  }
  if (settings.minLearningRate > settings.learningRate) {
    problems.push(
      `minLearningRate (--min-learning-rate): expected at most the learning rate ${settings.learningRate}, got ${settings.minLearningRate}.`,
    );
  }
  if (isCausal(settings) && settings.previous === "document") {
    problems.push(
      "previous (--previous): the causal form reads the whole text as one document; expected text, or --wavenet previous, got document.",
    );
  }
  if (settings.cudaGraph && drawOrder(settings) === "running") {
    problems.push(
      "cudaGraph (--cuda-graph): steps whose rows run on through the text are not captured; expected --order shuffled and --wavenet previous.",
    );
  }
  if (settings.cudaGraph && settings.device !== "auto" && settings.device !== "cuda") {
    problems.push(
      `cudaGraph (--cuda-graph): steps can be captured on an NVIDIA GPU only; expected --device cuda, got ${settings.device}.`,
    );
  }
  if (problems.length > 0) throw new UsageError(problems.join(" "));
}

/**
 * Fills in defaults and checks every value.
 * @throws UsageError that names each wrong setting, its flag, what was expected and what came.
 */
export function checkSettings(input: Readonly<Record<string, unknown>>): Settings {
  const result = settingsSchema.safeParse(input);
  if (!result.success) {
    const issues = result.error.issues.flatMap((issue) =>
      issue.code === "unrecognized_keys"
        ? issue.keys.map((key) => `Unknown setting ${JSON.stringify(key)}.`)
        : [sentence(issue, input)],
    );
    throw new UsageError(issues.join(" "));
  }
  checkTogether(result.data);
  return result.data;
}

/**
 * The settings of a run: preset, then a command's own, then file, then single settings.
 * @throws UsageError on an unknown preset, key or value.
 */
export function resolveSettings(sources: SettingSources = {}): ResolvedSettings {
  const file: FileSettings = sources.config
    ? readConfigFile(sources.config)
    : { preset: undefined, settings: {} };
  const preset = sources.preset ?? file.preset ?? DEFAULT_PRESET;
  const given: Record<string, unknown> = { ...sources.defaults, ...file.settings };
  for (const [name, value] of Object.entries(sources.settings ?? {})) {
    if (value !== undefined) given[name] = value;
  }
  return { preset, settings: checkSettings({ ...presetNamed(preset, given), ...given }) };
}

/** Settings with their defaults, without any preset. */
export function defaultSettings(): Settings {
  return settingsSchema.parse({} satisfies SettingsInput);
}
