import type { Settings } from "../config/settings.js";
import { UsageError } from "../config/usage-error.js";
import { generate } from "../generate.js";
import type { LanguageModel } from "../model/index.js";
import type { Tokenizer } from "../tokenizer/index.js";
import { nextTurn } from "./turn.js";

/**
 * What samples continue: the prompt of the settings, or nothing where the default one is not in the text.
 * @throws UsageError where the prompt has a character that the text lacks
 */
export function samplePrompt(tokenizer: Tokenizer, { samplePrompt }: Settings): string {
  try {
    tokenizer.encode(samplePrompt);
    return samplePrompt;
  } catch (error) {
    if (samplePrompt === "\n") return "";
    throw new UsageError(`samplePrompt (--sample-prompt): ${(error as Error).message}`);
  }
}

/** A sample of what the model writes; the same text from the same weights and seed. */
export async function sampleText(
  model: LanguageModel,
  tokenizer: Tokenizer,
  options: { prompt: string; tokens: number; seed: number },
  signal?: AbortSignal,
): Promise<string> {
  let text = "";
  for (const piece of generate(model, tokenizer, options)) {
    text += piece;
    if (signal?.aborted) break;
    await nextTurn();
  }
  return text;
}
