import type { DrawOrder } from "../data/loader.js";
import type { SettingName, Settings, SettingsInput } from "./settings.js";

/** The form where none is asked for: docs/results.md says why. */
export const DEFAULT_WAVENET = "causal";

/** Settings that only one form of WaveNet has. */
export const OF_FORM = {
  wavenetReshapeFactor: "previous",
  wavenetMemory: "causal",
  wavenetNoise: "causal",
  wavenetHistory: "causal",
  wavenetAlpha: "causal",
} as const satisfies Partial<Record<SettingName, Settings["wavenet"]>>;

/** The settings without those that a WaveNet of the form `wavenet` does not have. */
export function settingsOfForm(settings: SettingsInput, wavenet: unknown): SettingsInput {
  const forms: Readonly<Record<string, string>> = OF_FORM;
  return Object.fromEntries(
    Object.entries(settings).filter(([name]) => (forms[name] ?? wavenet) === wavenet),
  );
}

export function isCausal({ model, wavenet }: Settings): boolean {
  return model === "wavegpt" && wavenet === "causal";
}

/** How the training text is gone through: a model that carries its history needs rows that run on. */
export function drawOrder(settings: Settings): DrawOrder {
  return settings.order ?? (isCausal(settings) ? "running" : "shuffled");
}

/** Beside a causal WaveNet one does as well as four (docs/results.md, "What was tried"). */
export function decoderBlocks(settings: Settings): number {
  return settings.nLayers ?? (isCausal(settings) ? 1 : 4);
}
