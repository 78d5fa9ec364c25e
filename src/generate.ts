import { type Tensor, torch } from "../lib/index.js";
import { Random } from "./data/random.js";
import type { History } from "./model/history.js";
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

/** A text as a model reads it to predict its next token: a window of it, and what is known of the text before. */
class Reading {
  readonly #ids: number[] = [];
  /** Where the window begins. */
  #start = 0;
  /** What a model that carries its history kept of the text before the window; its own. */
  #history: History | null = null;
  readonly #device: string;

  constructor(
    private readonly model: LanguageModel,
    ids: ArrayLike<number>,
    /** Tokens that may follow; default: all of the model's. */
    private readonly vocabSize: number | undefined,
  ) {
    this.#device = model.parameters()[0]!.device;
    this.append(...Array.from(ids));
  }

  append(...ids: readonly number[]): void {
    for (const id of ids) this.#ids.push(id);
    const { blockSize } = this.model.config;
    const start = Math.max(0, this.#ids.length - blockSize);
    while (this.#start < start) {
      const end = Math.min(start, this.#start + blockSize);
      this.#leave(this.#ids.slice(this.#start, end));
      this.#start = end;
    }
  }

  /** The logits of the next token, as numbers. */
  nextLogits(): ArrayLike<number> {
    using _ = torch.scope();
    // The window, and as many tokens before it: what the WaveNet of the mode "previous" reads.
    const start = this.#start;
    const before = this.#ids.slice(Math.max(0, start - this.model.config.blockSize), start);
    const { logits } = this.#evaluated(() =>
      this.model.forward(this.#row(this.#ids.slice(start)), {
        previous: before.length > 0 ? this.#row(before) : null,
        history: this.#history,
        lastOnly: true,
      }),
    );
    const all = logits.reshape([-1]).to("float32").cpu().toTypedArray() as Float32Array;
    return all.subarray(0, this.vocabSize);
  }

  [Symbol.dispose](): void {
    for (const layer of this.#history ?? []) layer.dispose();
    this.#history = null;
  }

  /** Takes tokens that the window leaves behind into the history. */
  #leave(tokens: readonly number[]): void {
    using _ = torch.scope();
    const history = this.#evaluated(() => this.model.readHistory(this.#row(tokens), this.#history));
    this[Symbol.dispose]();
    this.#history = history?.map((layer) => torch.keep(layer)) ?? null;
  }

  /** Without dropout and gradients. */
  #evaluated<T>(run: () => T): T {
    const { model } = this;
    const wasTraining = model.training;
    model.eval();
    try {
      return torch.noGrad(run);
    } finally {
      model.train(wasTraining);
    }
  }

  #row(tokens: readonly number[]): Tensor {
    return torch.tensor([[...tokens]], { dtype: "int64", device: this.#device });
  }
}

/**
 * Continues a sequence of tokens, one at a time, each drawn given all before it (the window, and what the
 * model's WaveNet knows of the text before the window). Dropout is off meanwhile; libtorch's random stream is left alone.
 * @throws WaveGPTError ERR_WAVEGPT_ARGUMENT for an option out of its range
 */
export function* generateTokens(
  model: LanguageModel,
  prompt: ArrayLike<number>,
  options: GenerateOptions = {},
): Generator<number> {
  checkSampling(options);
  const random = new Random(options.seed ?? 1337);
  using reading = new Reading(model, prompt, options.vocabSize);
  for (let i = 0; i < (options.tokens ?? 500); i++) {
    const id = sampleToken(reading.nextLogits(), random.uint32() / 2 ** 32, options);
    reading.append(id);
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
