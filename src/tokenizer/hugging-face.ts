import * as z from "zod";
import { WaveGPTError } from "../../lib/errors.js";
import { readBytes } from "./byte-alphabet.js";
import type { AddedToken } from "./byte-pair.js";
import type { EncodingDefinition, SplitPattern } from "./native.js";
import { GPT2_PATTERN, SPLIT_PATTERNS } from "./split-patterns.js";

/** What a `tokenizer.json` of Hugging Face's tokenizers is to the native encoding. */
export interface HuggingFaceTokenizer {
  readonly definition: EncodingDefinition;
  readonly vocabSize: number;
  readonly added: readonly AddedToken[];
  readonly normalize: boolean;
  readonly prefixSpace: boolean;
}

const byteLevel = z.object({
  type: z.literal("ByteLevel"),
  add_prefix_space: z.boolean(),
  use_regex: z.boolean().default(true),
});
const split = z.object({
  type: z.literal("Split"),
  pattern: z.object({ Regex: z.string() }),
  behavior: z.literal("Isolated"),
  invert: z.literal(false),
});
const token = z.object({
  id: z.int().min(0),
  content: z.string().min(1),
  single_word: z.literal(false).default(false),
  lstrip: z.literal(false).default(false),
  rstrip: z.literal(false).default(false),
  normalized: z.boolean().default(false),
  special: z.boolean().default(false),
});
const empty = z.literal("").nullish();

/** What is understood of the format: anything else would be passed over in silence, and is refused by name. */
const schema = z.object({
  truncation: z.null().optional(),
  padding: z.null().optional(),
  added_tokens: z.array(token).default([]),
  normalizer: z.object({ type: z.literal("NFC") }).nullish(),
  pre_tokenizer: z.union([
    byteLevel,
    z.object({ type: z.literal("Sequence"), pretokenizers: z.tuple([split, byteLevel]) }),
  ]),
  decoder: z.object({ type: z.literal("ByteLevel") }).nullish(),
  model: z.object({
    type: z.literal("BPE").default("BPE"),
    dropout: z.union([z.null(), z.literal(0)]).optional(),
    continuing_subword_prefix: empty,
    end_of_word_suffix: empty,
    byte_fallback: z.literal(false).default(false),
    ignore_merges: z.boolean().default(false),
    vocab: z.record(z.string(), z.int().min(0)),
    merges: z.array(z.union([z.string(), z.tuple([z.string(), z.string()])])),
  }),
});
type Parsed = z.output<typeof schema>;

function fail(what: string): never {
  throw new WaveGPTError(
    "ERR_WAVEGPT_TOKENIZER",
    `not a byte-level BPE that is supported: ${what}`,
  );
}

function valueAt(json: unknown, keys: readonly PropertyKey[]): unknown {
  return keys.reduce<unknown>(
    (value, key) => (value as Record<PropertyKey, unknown> | null | undefined)?.[key],
    json,
  );
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 200 ? `${text.slice(0, 200)}...` : text;
}

function parse(json: unknown): Parsed {
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  const where = issue.path.join(".") || "the file";
  const got = shown(valueAt(json, issue.path));
  if (where === "pre_tokenizer") {
    fail(
      `pre_tokenizer: expected ByteLevel, or a Sequence of a Split (by a regular expression, Isolated, not inverted) and ByteLevel, got ${got}`,
    );
  }
  fail(`${where}: ${issue.message.replace(/^Invalid input: /, "")}, got ${got}`);
}

function patternOf(given: Parsed["pre_tokenizer"]): {
  readonly pattern: SplitPattern;
  readonly prefixSpace: boolean;
} {
  if (given.type === "ByteLevel") {
    if (!given.use_regex) fail("pre_tokenizer.use_regex: expected true where there is no Split");
    return { pattern: "gpt2", prefixSpace: given.add_prefix_space };
  }
  const [{ pattern }, bytes] = given.pretokenizers;
  const known = SPLIT_PATTERNS.get(pattern.Regex);
  if (known === undefined) {
    const names = [...SPLIT_PATTERNS.keys()].map((regex) => JSON.stringify(regex)).join(", ");
    fail(
      `pre_tokenizer: expected one of the regular expressions ${names}, got ${JSON.stringify(pattern.Regex)}`,
    );
  }
  if (bytes.use_regex && pattern.Regex !== GPT2_PATTERN) {
    fail("pre_tokenizer.pretokenizers.1.use_regex: expected false after a Split, got true");
  }
  if (bytes.add_prefix_space) {
    fail("pre_tokenizer.pretokenizers.1.add_prefix_space: expected false after a Split, got true");
  }
  return { pattern: known, prefixSpace: false };
}

/** Each token's bytes by its id. */
function tokenBytes({ model, added_tokens }: Parsed): Uint8Array[] {
  const utf8 = new TextEncoder();
  const added = new Map(added_tokens.map(({ content, id }) => [content, id]));
  const vocab = Object.entries(model.vocab);
  let last = -1;
  for (const [, id] of vocab) last = Math.max(last, id);
  for (const { id } of added_tokens) last = Math.max(last, id);
  if (last >= 2 ** 24) fail(`expected ids below ${2 ** 24}, got ${last}`);
  const tokens: Uint8Array[] = new Array(last + 1).fill(new Uint8Array(0));
  const owners = new Map<number, string>();
  for (const [text, id] of vocab) {
    const other = owners.get(id);
    if (other !== undefined) {
      fail(`model.vocab: ${JSON.stringify(other)} and ${JSON.stringify(text)} have one id, ${id}`);
    }
    owners.set(id, text);
    if (added.has(text)) continue;
    const bytes = readBytes(text);
    if (bytes === null || bytes.length === 0) {
      fail(
        `model.vocab: expected tokens in the characters that stand for bytes, got ${JSON.stringify(text)}`,
      );
    }
    tokens[id] = bytes;
  }
  for (const { content, id } of added_tokens) tokens[id] = utf8.encode(content);
  return tokens;
}

function mergesOf({ vocab, merges }: Parsed["model"]): Uint32Array {
  const ids = new Map(Object.entries(vocab));
  const found = new Uint32Array(3 * merges.length);
  merges.forEach((merge, rank) => {
    const pair = typeof merge === "string" ? merge.split(" ") : merge;
    const [left = "", right = ""] = pair;
    const three = [left, right, left + right].map((token) => ids.get(token));
    if (pair.length !== 2 || three.includes(undefined)) {
      fail(
        `model.merges: expected two tokens of the vocabulary that make a third, got ${JSON.stringify(merge)}`,
      );
    }
    found.set(three as number[], 3 * rank);
  });
  return found;
}

/**
 * Reads a parsed `tokenizer.json` of Hugging Face's tokenizers: a byte-level BPE that is split by GPT-2's regular
 * expression or one of {@link SPLIT_PATTERNS}. What the post-processor adds around a text is left out.
 *
 * @throws WaveGPTError ERR_WAVEGPT_TOKENIZER naming what is not supported
 */
export function readHuggingFace(json: unknown): HuggingFaceTokenizer {
  const parsed = parse(json);
  const { pattern, prefixSpace } = patternOf(parsed.pre_tokenizer);
  const normalize = parsed.normalizer != null;
  for (const { content, normalized } of normalize ? parsed.added_tokens : []) {
    if (normalized) {
      fail(
        `added_tokens: expected "normalized" false beside a normalizer, got true for ${JSON.stringify(content)}`,
      );
    }
  }
  const tokens = tokenBytes(parsed);
  const ends = new Uint32Array(tokens.length);
  let end = 0;
  tokens.forEach((token, id) => {
    end += token.length;
    ends[id] = end;
  });
  const { vocab, ignore_merges } = parsed.model;
  return {
    definition: {
      pattern,
      bytes: Buffer.concat(tokens),
      ends,
      special: Uint32Array.from(
        parsed.added_tokens.filter((t) => t.special || !Object.hasOwn(vocab, t.content)),
        ({ id }) => id,
      ),
      merges: mergesOf(parsed.model),
      ignoreMerges: ignore_merges,
    },
    vocabSize: tokens.length,
    added: parsed.added_tokens,
    normalize,
    prefixSpace,
  };
}

/** A `tokenizer.json` of a byte-level BPE that is split by GPT-2's regular expression. */
export function writeHuggingFace(parts: {
  readonly special: readonly AddedToken[];
  readonly vocab: Readonly<Record<string, number>>;
  readonly merges: readonly (readonly [string, string])[];
}): unknown {
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: parts.special.map(({ id, content }) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: {
      type: "ByteLevel",
      add_prefix_space: false,
      trim_offsets: true,
      use_regex: true,
    },
    post_processor: null,
    decoder: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: parts.vocab,
      merges: parts.merges,
    },
  };
}
