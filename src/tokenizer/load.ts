import { readFileSync } from "node:fs";
import { WaveGPTError } from "../../lib/errors.js";
import { BPETokenizer } from "./bpe.js";
import { CharTokenizer } from "./char.js";
import { GPT2Tokenizer } from "./gpt2.js";
import { TokenIds } from "./ids.js";
import type { Tokenizer } from "./tokenizer.js";

const readers: Readonly<Record<string, (json: unknown) => Tokenizer>> = {
  char: CharTokenizer.fromJSON,
  gpt2: GPT2Tokenizer.fromJSON,
  ids: TokenIds.fromJSON,
};

/** Hugging Face's format names the kind in its model. */
function isHuggingFace(json: unknown): boolean {
  const { type, model } = (json ?? {}) as { type?: unknown; model?: unknown };
  return type === undefined && typeof model === "object" && model !== null;
}

/**
 * The tokenizer that a parsed `tokenizer.json` describes.
 *
 * @throws WaveGPTError ERR_WAVEGPT_TOKENIZER for a kind that is not known or content that is malformed or not supported
 */
export function tokenizerFromJSON(json: unknown): Tokenizer {
  const type = typeof json === "object" && json !== null && "type" in json ? json.type : undefined;
  const read = typeof type === "string" && Object.hasOwn(readers, type) ? readers[type] : undefined;
  if (read === undefined) {
    if (isHuggingFace(json)) return BPETokenizer.fromJSON(json);
    const known = Object.keys(readers).map((name) => JSON.stringify(name));
    throw new WaveGPTError(
      "ERR_WAVEGPT_TOKENIZER",
      `expected a tokenizer whose "type" is one of ${known.join(", ")}, got ${JSON.stringify(type) ?? "none"}`,
    );
  }
  return read(json);
}

/**
 * Reads a tokenizer that {@link Tokenizer.save} wrote, e.g. a run's `tokenizer.json`, or one of Hugging Face's
 * tokenizers.
 *
 * @throws WaveGPTError ERR_WAVEGPT_TOKENIZER naming the file, for one that cannot be read or is malformed
 */
export function loadTokenizer(path: string): Tokenizer {
  try {
    return tokenizerFromJSON(JSON.parse(readFileSync(path, "utf8")));
  } catch (cause) {
    throw new WaveGPTError(
      "ERR_WAVEGPT_TOKENIZER",
      `cannot load the tokenizer ${path}: ${(cause as Error).message}`,
      { cause },
    );
  }
}

/**
 * GPT-2's tokenizer by the name `gpt2`, or that of a file.
 *
 * @throws WaveGPTError ERR_WAVEGPT_TOKENIZER as {@link loadTokenizer}
 */
export function namedTokenizer(name: string): Tokenizer {
  return name === "gpt2" ? new GPT2Tokenizer() : loadTokenizer(name);
}
