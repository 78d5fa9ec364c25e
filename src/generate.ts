import { torch } from "../lib/index.js";
import { Random } from "./data/random.js";
import type { LanguageModel } from "./model/index.js";
import { checkSampling, type SamplingOptions, sampleToken } from "./sampling.js";
import type { Tokenizer } from "./tokenizer/index.js";

export interface GenerateOptions extends SamplingOptions {
  /** The text to continue; where it is empty, the model starts from a line break. */
  readonly prompt?: string;
  /** How many tokens to add. Default 500. */
  readonly tokens?: number;
  /** Default 1337. */
  readonly seed?: number;
  /** Ids from this on are never drawn: they pad the vocabulary. Default: all of the model's may be. */
  readonly vocabSize?: number;
}

/** What a model continues where there is no prompt: a line break, or else its first token. */
function opening(tokenizer: Tokenizer): ArrayLike<number> {
  try {
    const ids = tokenizer.encode("\n");
    return ids.length > 0 ? ids : [0];
  } catch {
    return [0];
  }
}

/** The logits that follow `ids`, as numbers, of the first `vocabSize` tokens. */
function nextLogits(
  model: LanguageModel,
  ids: readonly number[],
  vocabSize: number | undefined,
): ArrayLike<number> {
  using _ = torch.scope();
  const device = model.parameters()[0]!.device;
  const { blockSize } = model.config;
  const row = (tokens: readonly number[]) =>
    torch.tensor([[...tokens]], { dtype: "int64", device });
  // The window, and as many tokens before it: what the WaveNet reads.
  const start = Math.max(0, ids.length - blockSize);
  const before = ids.slice(Math.max(0, start - blockSize), start);
  const { logits } = torch.noGrad(() =>
    model.forward(row(ids.slice(start)), {
      previous: before.length > 0 ? row(before) : null,
      lastOnly: true,
    }),
  );
  const all = logits.reshape([-1]).to("float32").cpu().toTypedArray() as Float32Array;
  return all.subarray(0, vocabSize);
}

/**
 * Continues a sequence of tokens, one at a time, each drawn given all before it (the window and the
 * context before the window). Dropout is off meanwhile; libtorch's random stream is left alone.
 * @throws WaveGPTError ERR_WAVEGPT_ARGUMENT for an option out of its range
 */
export function* generateTokens(
  model: LanguageModel,
  prompt: ArrayLike<number>,
  options: GenerateOptions = {},
): Generator<number> {
  checkSampling(options);
  const random = new Random(options.seed ?? 1337);
  const ids = Array.from(prompt);
  const wasTraining = model.training;
  for (let i = 0; i < (options.tokens ?? 500); i++) {
    model.eval();
    let logits: ArrayLike<number>;
    try {
      logits = nextLogits(model, ids, options.vocabSize);
    } finally {
      model.train(wasTraining);
    }
    const id = sampleToken(logits, random.uint32() / 2 ** 32, options);
    ids.push(id);
    yield id;
  }
}

/**
 * Continues a text, piece by piece as it is made; the prompt itself is not repeated.
 *
 *     for (const piece of generate(model, tokenizer, { prompt: "ROMEO:", tokens: 200 })) process.stdout.write(piece);
 *
 * @throws WaveGPTError ERR_WAVEGPT_UNKNOWN_CHARACTER where the prompt has a character the vocabulary lacks
 */
export function* generate(
  model: LanguageModel,
  tokenizer: Tokenizer,
  options: GenerateOptions = {},
): Generator<string> {
  const given = tokenizer.encode(options.prompt ?? "");
  const prompt = given.length > 0 ? given : opening(tokenizer);
  const decoder = tokenizer.decoder();
  const { vocabSize } = tokenizer;
  for (const id of generateTokens(model, prompt, { vocabSize, ...options })) {
    const piece = decoder.write(id);
    if (piece !== "") yield piece;
  }
  const rest = decoder.end();
  if (rest !== "") yield rest;
}
