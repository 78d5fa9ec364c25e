import { resolveSettings } from "../../src/config/resolve.js";
import type { Settings } from "../../src/config/settings.js";

/** One training to time: a model in a precision, all else as the preset has it. */
export interface Configuration {
  /** E.g. `"gpt bfloat16"`. */
  readonly name: string;
  readonly settings: Settings;
}

export const CONFIGURATIONS: readonly Configuration[] = (["gpt", "wavegpt"] as const).flatMap(
  (model) =>
    (["float32", "bfloat16"] as const).map((dtype) => ({
      name: `${model} ${dtype}`,
      settings: resolveSettings({ preset: "shakespeare", settings: { model, dtype } }).settings,
    })),
);

/** Whether each word of `only` is one of the configuration's name: `"gpt"` is not meant to find WaveGPT. */
export function isNamed({ name }: Configuration, only: string): boolean {
  const words = name.split(" ");
  return only.split(" ").every((word) => word === "" || words.includes(word));
}
