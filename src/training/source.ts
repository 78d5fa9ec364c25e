import { basename } from "node:path";
import type { Settings } from "../config/settings.js";
import { UsageError } from "../config/usage-error.js";
import { locateCorpus } from "../data/corpus.js";
import { splitTokens, type TokenSequence } from "../data/index.js";
import { holdsTokens } from "../data/token-data.js";
import type { RunConfig } from "../run/config.js";
import {
  CharTokenizer,
  loadTokenizer,
  namedTokenizer,
  type TokenArray,
  type Tokenizer,
} from "../tokenizer/index.js";
import type { TrainEvent } from "./events.js";
import { readText, type SourceText } from "./text.js";
import { loadTokens } from "./tokens.js";

/** A text, cut into tokens and split. */
export interface TrainingText {
  readonly source: Pick<SourceText, "path" | "sha256">;
  readonly title: string;
  readonly tokenizer: Tokenizer;
  readonly train: TokenArray | TokenSequence;
  readonly val: TokenArray | TokenSequence;
  /** The token that documents begin with, where the text has several. */
  readonly documentStart: number | null;
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

/** @throws UsageError for a file that holds no tokenizer */
function makeTokenizer({ tokenizer, unknown }: Settings, text: string): Tokenizer {
  if (tokenizer === "char") return CharTokenizer.fromText(text, { unknown: unknown ?? null });
  try {
    return namedTokenizer(tokenizer);
  } catch (error) {
    throw new UsageError(`--tokenizer: ${(error as Error).message}`);
  }
}

function checkSame(
  resumed: { config: RunConfig } | null,
  { path, sha256 }: TrainingText["source"],
): void {
  if (!resumed || resumed.config.text.sha256 === sha256) return;
  const { text } = resumed.config;
  throw new UsageError(
    `--resume: the run learnt from ${text.path} (SHA-256 ${text.sha256.slice(0, 12)}...), but ${path} has other content (${sha256.slice(0, 12)}...). Give the same text with --data.`,
  );
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
  if (holdsTokens(path)) {
    const tokenizer = resumed ? loadTokenizer(resumed.tokenizer) : undefined;
    const text = loadTokens(path, settings, tokenizer);
    checkSame(resumed, text.source);
    return text;
  }
  const source = readText(path);
  checkSame(resumed, source);
  const tokenizer = resumed
    ? loadTokenizer(resumed.tokenizer)
    : makeTokenizer(settings, source.text);
  const { train, val } = splitTokens(tokenizer.encode(source.text), settings.trainFraction);
  return {
    source,
    title: resumed?.config.text.title ?? title,
    tokenizer,
    train,
    val,
    documentStart: null,
    characters: characters(source.text),
    charactersPerToken: characters(tokenizer.decode(val)) / val.length,
  };
}
