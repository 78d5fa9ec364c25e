import { basename } from "node:path";
import type { Settings } from "../config/settings.js";
import { UsageError } from "../config/usage-error.js";
import { locateCorpus } from "../data/corpus.js";
import { splitTokens } from "../data/index.js";
import type { RunConfig } from "../run/config.js";
import {
  CharTokenizer,
  loadTokenizer,
  type TokenArray,
  type Tokenizer,
} from "../tokenizer/index.js";
import type { TrainEvent } from "./events.js";
import { readText, type SourceText } from "./text.js";

/** A text, cut into tokens and split. */
export interface TrainingText {
  readonly source: SourceText;
  readonly title: string;
  readonly tokenizer: Tokenizer;
  readonly train: TokenArray;
  readonly val: TokenArray;
  /** Code points of the whole text. */
  readonly characters: number;
  /** Characters a held-out token stands for, on average: 1 where tokens are characters. */
  readonly charactersPerToken: number;
}

async function locate(
  settings: Settings,
  emit: (event: TrainEvent) => void,
): Promise<{ path: string; title: string }> {
  if (settings.data !== undefined) return { path: settings.data, title: basename(settings.data) };
  const { path, title, notice } = await locateCorpus({
    onProgress: (done: number, total: number | null) =>
      emit({ type: "download", what: "Tiny Shakespeare", done, total }),
  });
  if (notice) emit({ type: "notice", message: notice });
  return { path, title };
}

function characters(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}

/**
 * Finds the text, makes its vocabulary (or takes that of the run to be resumed) and splits it.
 * @throws UsageError where the text of a resumed run is not the one it began with
 */
export async function loadTrainingText(
  settings: Settings,
  resumed: { config: RunConfig; tokenizer: string } | null,
  emit: (event: TrainEvent) => void,
): Promise<TrainingText> {
  const { path, title } = await locate(settings, emit);
  const source = readText(path);
  if (resumed && resumed.config.text.sha256 !== source.sha256) {
    throw new UsageError(
      `--resume: the run learnt from ${resumed.config.text.path} (SHA-256 ${resumed.config.text.sha256.slice(0, 12)}...), but ${path} has other content (${source.sha256.slice(0, 12)}...). Give the same text with --data.`,
    );
  }
  const tokenizer = resumed
    ? loadTokenizer(resumed.tokenizer)
    : CharTokenizer.fromText(source.text, { unknown: settings.unknown ?? null });
  const { train, val } = splitTokens(tokenizer.encode(source.text), settings.trainFraction);
  return {
    source,
    title: resumed?.config.text.title ?? title,
    tokenizer,
    train,
    val,
    characters: characters(source.text),
    charactersPerToken: characters(tokenizer.decode(val)) / val.length,
  };
}
