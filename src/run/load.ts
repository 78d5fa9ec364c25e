import { existsSync } from "node:fs";
import { WaveGPTError } from "../../lib/errors.js";
import { fromPretrained, type LanguageModel } from "../model/index.js";
import { loadTokenizer, type Tokenizer } from "../tokenizer/index.js";
import { runFolder } from "./folder.js";

/** A trained model and the tokenizer it was trained with. */
export interface LoadedRun {
  /** The best by held-out loss, in evaluation mode. */
  readonly model: LanguageModel;
  readonly tokenizer: Tokenizer;
}

/**
 * Loads the best model of a run.
 * @param path the run's folder
 * @throws WaveGPTError ERR_WAVEGPT_RUN_FOLDER naming the file that is missing
 */
export function loadRun(path: string, { device = "cpu" }: { device?: string } = {}): LoadedRun {
  const folder = runFolder(path);
  for (const file of [folder.config, folder.tokenizer, folder.model]) {
    if (!existsSync(file)) {
      throw new WaveGPTError(
        "ERR_WAVEGPT_RUN_FOLDER",
        `${path} holds no trained model: ${file} is missing. Expected the folder of a run that \`wavegpt train\` made.`,
      );
    }
  }
  const tokenizer = loadTokenizer(folder.tokenizer);
  return { model: fromPretrained(path, { device }), tokenizer };
}
