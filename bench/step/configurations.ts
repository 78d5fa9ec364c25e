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
