import { resolveSettings } from "../../src/config/resolve.js";
import type { Settings } from "../../src/config/settings.js";

/** The precisions of a training. */
export const DTYPES = ["float32", "bfloat16"] as const;
export type Dtype = (typeof DTYPES)[number];

/** The characters of Tiny Shakespeare, and GPT-2's tokens with the rows filled up to a round number. */
export const VOCABULARIES = [65, 50_304] as const;

/** One training to time: a model, a vocabulary and a precision, all else as the preset has it for `--wavenet previous`. */
export interface Configuration {
  /** E.g. `"gpt 65 bfloat16"`. */
  readonly name: string;
  readonly vocabulary: number;
  readonly settings: Settings;
}

export const CONFIGURATIONS: readonly Configuration[] = VOCABULARIES.flatMap((vocabulary) =>
  (["gpt", "wavegpt"] as const).flatMap((model) =>
    DTYPES.map((dtype) => ({
      name: `${model} ${vocabulary} ${dtype}`,
      vocabulary,
      settings: resolveSettings({
        preset: "shakespeare",
        // The form of the reference, of which the peer has a model in PyTorch.
        settings: { model, dtype, wavenet: "previous" },
      }).settings,
    })),
  ),
);

/** Whether each word of `only` is one of the configuration's name: `"gpt"` is not meant to find WaveGPT. */
export function isNamed({ name }: Configuration, only: string): boolean {
  const words = name.split(" ");
  return only.split(" ").every((word) => word === "" || words.includes(word));
}

/** @throws Error that lists the names, where none is meant by `only` */
export function configurationsNamed(only: string): Configuration[] {
  const named = CONFIGURATIONS.filter((one) => isNamed(one, only));
  if (named.length === 0) {
    throw new Error(
      `--only: expected words of a name among ${CONFIGURATIONS.map(({ name }) => name).join(", ")}, got ${only}`,
    );
  }
  return named;
}
