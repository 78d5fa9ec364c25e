import { DEFAULT_WAVENET, settingsOfForm } from "./forms.js";
import type { SettingsInput } from "./settings.js";
import { UsageError } from "./usage-error.js";

/**
 * The reference's experiment on Tiny Shakespeare. An epoch is one pass over the training text: 436 steps of
 * 32 sequences of 64 tokens. The rate falls from 3e-4 to 3e-5 for the last three of the ten epochs. Over so many passes
 * through one megabyte, noise in what a causal WaveNet reads keeps it from learning the text by heart.
 */
const shakespeare = {
  wavenetNoise: 0.05,
  nEmbd: 128,
  nHeads: 4,
  blockSize: 64,
  batchSize: 32,
  dropout: 0.2,
  epochs: 10,
  learningRate: 3e-4,
  schedule: "multi-step",
  milestones: [0.7],
  gamma: 0.1,
} as const satisfies Readonly<Record<string, unknown>>;

/**
 * The reference's main experiment: OpenWebText in GPT-2's tokens, 4,096 tokens a step (32 sequences of 128, as its code
 * had when its README was written), ten epochs at a constant rate. Its vocabulary of 50,257 is padded to 50,304.
 */
const openwebtext = {
  data: "openwebtext",
  wavenet: "previous",
  nEmbd: 256,
  nHeads: 8,
  nLayers: 6,
  blockSize: 128,
  batchSize: 32,
  dropout: 0.2,
  epochs: 10,
  learningRate: 3e-4,
  schedule: "constant",
  evalEvery: 1000,
  evalBatches: 50,
  checkpointEvery: 1000,
} as const satisfies SettingsInput;

/**
 * The reference's script for several GPUs: the same text, but 131,072 tokens a step by accumulating gradients of 4,096 at
 * a time, its later and smaller model, 20,000 steps with a cosine from 3e-4 to 3e-8 after three of warm-up, in bfloat16.
 */
const openwebtext131k = {
  ...openwebtext,
  nEmbd: 128,
  nHeads: 4,
  nLayers: 4,
  blockSize: 64,
  batchSize: 2048,
  accumulate: 32,
  steps: 20_000,
  schedule: "cosine",
  warmupSteps: 3,
  minLearningRate: 3e-8,
  dtype: "bfloat16",
} as const satisfies SettingsInput;

/** Named groups of settings: `--preset NAME`. */
export const presets: Readonly<Record<string, SettingsInput>> = {
  shakespeare: { ...shakespeare, milestones: [...shakespeare.milestones] },
  openwebtext,
  "openwebtext-131k": openwebtext131k,
};

/** The preset where none is named. */
export const DEFAULT_PRESET = "shakespeare";

/**
 * A preset's settings, but for those of another form of WaveNet than the one that `given` chooses.
 * @throws UsageError for a name that is no preset.
 */
export function presetNamed(
  name: string,
  given: Readonly<Record<string, unknown>> = {},
): SettingsInput {
  const preset = Object.hasOwn(presets, name) ? presets[name] : undefined;
  if (preset) return settingsOfForm(preset, given.wavenet ?? preset.wavenet ?? DEFAULT_WAVENET);
  throw new UsageError(
    `--preset: expected one of ${Object.keys(presets).join(", ")}, got ${JSON.stringify(name)}.`,
  );
}
