import type { SettingsInput } from "./settings.js";
import { UsageError } from "./usage-error.js";

/**
 * The reference's experiment on Tiny Shakespeare. An epoch is one pass over the training text: 436 steps of
 * 32 sequences of 64 tokens. The rate falls from 3e-4 to 3e-5 for the last three of the ten epochs.
 */
const shakespeare = {
  nEmbd: 128,
  nHeads: 4,
  nLayers: 4,
  blockSize: 64,
  batchSize: 32,
  dropout: 0.2,
  epochs: 10,
  learningRate: 3e-4,
  schedule: "multi-step",
  milestones: [0.7],
  gamma: 0.1,
} as const satisfies Readonly<Record<string, unknown>>;

/** Named groups of settings: `--preset NAME`. */
export const presets: Readonly<Record<string, SettingsInput>> = {
  shakespeare: { ...shakespeare, milestones: [...shakespeare.milestones] },
};

/** The preset where none is named. */
export const DEFAULT_PRESET = "shakespeare";

/**
 * A preset's settings.
 * @throws UsageError for a name that is no preset.
 */
export function presetNamed(name: string): SettingsInput {
  const preset = Object.hasOwn(presets, name) ? presets[name] : undefined;
  if (preset) return preset;
  if (name === "openwebtext") {
    throw new UsageError(
      "--preset openwebtext is not available yet: this version trains on plain text with characters as tokens. " +
        `Available: ${Object.keys(presets).join(", ")}. For your own text, use --data FILE.`,
    );
  }
  throw new UsageError(
    `--preset: expected one of ${Object.keys(presets).join(", ")}, got ${JSON.stringify(name)}.`,
  );
}
