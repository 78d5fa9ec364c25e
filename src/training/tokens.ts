import { basename, join } from "node:path";
import type { Settings } from "../config/settings.js";
import { UsageError } from "../config/usage-error.js";
import type { TokenSequence } from "../data/index.js";
import { TOKENIZER } from "../data/manifest.js";
import { openTokenData, type TokenData } from "../data/token-data.js";
import {
  GPT2Tokenizer,
  loadTokenizer,
  namedTokenizer,
  TokenIds,
  type Tokenizer,
} from "../tokenizer/index.js";
import type { TrainingText } from "./source.js";

/** So much of each part is looked through for ids that the vocabulary lacks, in files that say nothing of theirs. */
const CHECKED_TOKENS = 1 << 20;
/** So much of the held-out part is decoded to tell how many characters a token stands for. */
const DECODED_TOKENS = 1 << 16;

/** The tokenizer that the settings name; null where they say nothing that makes sense of tokens. */
function givenTokenizer({ tokenizer, vocabSize }: Settings): Tokenizer | null {
  if (vocabSize !== undefined) return new TokenIds(vocabSize);
  if (tokenizer === "char") return null;
  try {
    return namedTokenizer(tokenizer);
  } catch (error) {
    throw new UsageError(`--tokenizer: ${(error as Error).message}`);
  }
}

/** What is prepared brings its tokenizer; files of others hold GPT-2's tokens unless the settings say otherwise. */
function tokenizerOf(settings: Settings, { path, manifest }: TokenData): Tokenizer {
  const given = givenTokenizer(settings);
  if (manifest === null) return given ?? new GPT2Tokenizer();
  if (given !== null && given.describe().sha256 !== manifest.tokenizer.sha256) {
    throw new UsageError(
      `--data: ${path} was prepared with another tokenizer (${manifest.tokenizer.kind}, ${manifest.tokenizer.vocabSize} tokens) than the one given. Leave --tokenizer and --vocab-size out to take its own.`,
    );
  }
  return loadTokenizer(join(path, TOKENIZER));
}

function checkIds(path: string, part: string, tokens: TokenSequence, tokenizer: Tokenizer): void {
  const seen = tokens.view(0, Math.min(tokens.length, CHECKED_TOKENS));
  const wrong = seen.findIndex((id) => id >= tokenizer.vocabSize);
  if (wrong < 0) return;
  throw new UsageError(
    `--data: ${path} has the token ${seen[wrong]} at position ${wrong} of its ${part} part, which is outside the vocabulary of ${tokenizer.vocabSize} (${tokenizer.type}). Was it made with another tokenizer?`,
  );
}

/** Characters that a held-out token stands for: counted when it was prepared, or found out from a sample. */
function charactersPerToken({ manifest, val }: TokenData, tokenizer: Tokenizer): number {
  if (manifest !== null) return manifest.val.characters / manifest.val.tokens;
  const sample = val.view(0, Math.min(val.length, DECODED_TOKENS));
  return [...tokenizer.decode(sample)].length / sample.length;
}

/**
 * Opens a corpus of tokens as what a run learns from; nothing of it is read into memory.
 * @throws UsageError where a part is empty, or the tokenizer is not known or not the one it was made with
 */
export function loadTokens(path: string, settings: Settings, tokenizer?: Tokenizer): TrainingText {
  const data = openTokenData(path, settings.trainFraction);
  for (const part of ["train", "val"] as const) {
    if (data[part].length > 0) continue;
    const name = part === "train" ? "training" : "validation";
    throw new UsageError(
      `--data: ${path} has no tokens for ${name}. Prepare it with another share: \`wavegpt prepare --validation P\`.`,
    );
  }
  const known = tokenizer ?? tokenizerOf(settings, data);
  if (data.manifest === null) {
    checkIds(path, "training", data.train, known);
    checkIds(path, "validation", data.val, known);
  }
  const perToken = charactersPerToken(data, known);
  const { manifest, train, val } = data;
  return {
    source: { path, sha256: data.sha256 },
    title: basename(path),
    tokenizer: known,
    train,
    val,
    documentStart: manifest === null ? (known.endOfText ?? null) : manifest.endOfText,
    characters:
      manifest === null
        ? Math.round(perToken * (train.length + val.length))
        : manifest.train.characters + manifest.val.characters,
    charactersPerToken: perToken,
  };
}
