import { WaveGPTError } from "../../lib/errors.js";

/**
 * How a decoder block is wired. Both forms have the same parameters.
 *
 * - `"reference"`: `x = ln1(x); x = x + mha(x); x = ln2(x); x = dropout(x + ffn(x))`. The norms stand on
 *   the residual path itself.
 * - `"pre-norm"`: `x = x + dropout(mha(ln1(x))); x = x + ffn(ln2(x))`, as GPT-2 does.
 */
export type BlockForm = "reference" | "pre-norm";

export const BLOCK_FORMS: readonly BlockForm[] = ["reference", "pre-norm"];

/** The block form where none is chosen: it learns faster, as measured in `docs/model.md`. */
export const DEFAULT_BLOCK: BlockForm = "pre-norm";

/**
 * By what a model computes. `"fused"`: this package's own operators (`nn.fused`), the fast ones.
 * `"composed"`: PyTorch's layers one by one, of which the same seed gives PyTorch's own numbers, dropout
 * included. The weights are the same, and either may go on where the other stopped.
 */
export type Kernels = "fused" | "composed";

export const KERNELS: readonly Kernels[] = ["fused", "composed"];

/**
 * What the WaveNet reads. `"previous"`: the tokens before the block, as one summary. `"causal"`: the text up to each
 * position, whose part before the block it carries along as its history. `"leaky-reference"`: the block itself, as
 * the reference's code does, so that every position sees the tokens it must predict; it is here only to show that the
 * leak test finds a leak.
 */
export type WaveNetMode = "previous" | "causal" | "leaky-reference";

/** The modes a user may choose. */
export const WAVENET_MODES = ["previous", "causal"] as const;

/**
 * What a causal WaveNet takes for a row's history at the start of a block. `"carried"`: its own. `"shuffled"`: that of
 * the batch's next row (a row alone has none), and `"zeroed"`: none, which are here to show what the history is worth.
 */
export type WaveNetHistory = "carried" | "shuffled" | "zeroed";

export const WAVENET_HISTORIES: readonly WaveNetHistory[] = ["carried", "shuffled", "zeroed"];

/** Whether a causal WaveGPT learns its alpha, or keeps it at 1, where its decoder speaks alone. */
export type WaveNetAlpha = "learned" | "one";

export const WAVENET_ALPHAS: readonly WaveNetAlpha[] = ["learned", "one"];

/** A WaveNet that merges what it reads into one position. */
export interface MergingWaveNetConfig {
  readonly mode: "previous" | "leaky-reference";
  /** Layers, each of which merges `reshapeFactor` neighbouring positions into one. */
  readonly layers: number;
  readonly reshapeFactor: number;
}

/** A WaveNet of gated causal convolutions, and retention. */
export interface CausalWaveNetConfig {
  readonly mode: "causal";
  /** Layers, each of which looks back twice as far as the one before, but for the last `memory` ones. */
  readonly layers: number;
  /** How many of the layers, the last ones, are retention: from 0 to all. */
  readonly memory: number;
  /** The probability that a token which the WaveNet reads in training is another, from 0 to below 1. */
  readonly noise: number;
  readonly history: WaveNetHistory;
  readonly alpha: WaveNetAlpha;
}

export type WaveNetConfig = MergingWaveNetConfig | CausalWaveNetConfig;

/** A {@link WaveNetConfig} of any mode, all of it left to its default where it is left out. */
export interface WaveNetOptions {
  /** Default `"previous"`. */
  readonly mode?: WaveNetMode | undefined;
  /** Default: {@link DEFAULT_CAUSAL_LAYERS} for `"causal"`, else {@link defaultWaveNetLayers}. */
  readonly layers?: number | undefined;
  /** For `"causal"` only. Default {@link DEFAULT_CAUSAL_MEMORY}, but of fewer layers no more than half. */
  readonly memory?: number | undefined;
  /** For `"causal"` only. Default 0. */
  readonly noise?: number | undefined;
  /** Not for `"causal"`. Default 4. */
  readonly reshapeFactor?: number | undefined;
  /** For `"causal"` only. Default `"carried"`. */
  readonly history?: WaveNetHistory | undefined;
  /** For `"causal"` only. Default `"learned"`. */
  readonly alpha?: WaveNetAlpha | undefined;
}

/** The layers of a causal WaveNet where none are chosen. */
export const DEFAULT_CAUSAL_LAYERS = 8;

/** How many of them are retention. */
export const DEFAULT_CAUSAL_MEMORY = 4;

/** So that the largest dilation stays far below any text's length. */
const MOST_CAUSAL_LAYERS = 20;

export interface GPTConfig {
  /** Tokens in the vocabulary (V). */
  readonly vocabSize: number;
  /** Channels (C). Default 128. */
  readonly nEmbd: number;
  /** Attention heads; they divide the channels among them. Default 4. */
  readonly nHeads: number;
  /** Decoder blocks. Default 4. */
  readonly nLayers: number;
  /** The most tokens a forward pass takes. Default 64. */
  readonly blockSize: number;
  /** The probability that an activation is dropped in training, from 0 to below 1. Default 0.2. */
  readonly dropout: number;
  /** Default {@link DEFAULT_BLOCK}. */
  readonly block: BlockForm;
  /** Default `"fused"`. No part of what is saved with the weights. */
  readonly kernels: Kernels;
}

export interface WaveGPTConfig extends GPTConfig {
  readonly wavenet: WaveNetConfig;
}

type Optional<T> = { readonly [K in keyof T]?: T[K] | undefined };

/** A {@link GPTConfig} in which all but the vocabulary's size may be left to its default. */
export type GPTOptions = Pick<GPTConfig, "vocabSize"> & Optional<Omit<GPTConfig, "vocabSize">>;

/** A {@link WaveGPTConfig} in which all but the vocabulary's size may be left to its default. */
export type WaveGPTOptions = GPTOptions & {
  readonly wavenet?: WaveNetOptions | undefined;
};

const GPT_FIELDS = [
  "vocabSize",
  "nEmbd",
  "nHeads",
  "nLayers",
  "blockSize",
  "dropout",
  "block",
  "kernels",
] as const;

/** As many WaveNet layers as it takes to merge a whole block into one position, at most the reference's 3. */
export function defaultWaveNetLayers(blockSize: number, reshapeFactor = 4): number {
  let layers = 1;
  while (layers < 3 && reshapeFactor ** layers < blockSize) layers++;
  return layers;
}

/**
 * Fills in the defaults and checks every field.
 *
 * @throws WaveGPTError ERR_WAVEGPT_CONFIG naming the field, what was expected and what came
 */
export function resolveGPTConfig(options: GPTOptions): GPTConfig {
  rejectUnknown("", options, GPT_FIELDS);
  const config: GPTConfig = {
    vocabSize: options.vocabSize,
    nEmbd: options.nEmbd ?? 128,
    nHeads: options.nHeads ?? 4,
    nLayers: options.nLayers ?? 4,
    blockSize: options.blockSize ?? 64,
    dropout: options.dropout ?? 0.2,
    block: options.block ?? DEFAULT_BLOCK,
    kernels: options.kernels ?? "fused",
  };
  for (const field of ["vocabSize", "nEmbd", "nHeads", "nLayers", "blockSize"] as const) {
    requireCount(field, config[field], 1);
  }
  if (config.nEmbd % config.nHeads !== 0) {
    throw invalid(
      "nEmbd",
      `must be divisible by nHeads, which is ${config.nHeads}`,
      `${config.nEmbd}`,
    );
  }
  const { dropout, block, kernels } = config;
  if (typeof dropout !== "number" || !(dropout >= 0 && dropout < 1)) {
    throw invalid("dropout", "must be a number from 0 to below 1", show(dropout));
  }
  requireChoice("block", block, BLOCK_FORMS);
  requireChoice("kernels", kernels, KERNELS);
  return config;
}

/**
 * Fills in the defaults and checks every field.
 *
 * @throws WaveGPTError ERR_WAVEGPT_CONFIG naming the field, what was expected and what came
 */
export function resolveWaveGPTConfig(options: WaveGPTOptions): WaveGPTConfig {
  rejectUnknown("", options, [...GPT_FIELDS, "wavenet"]);
  const { wavenet = {}, ...rest } = options;
  const config = resolveGPTConfig(rest);
  return { ...config, wavenet: resolveWaveNetConfig(wavenet, config.blockSize) };
}

function resolveWaveNetConfig(options: WaveNetOptions, blockSize: number): WaveNetConfig {
  if (typeof options !== "object" || options === null) {
    throw invalid("wavenet", "must be an object of mode, layers and the like", show(options));
  }
  const mode = options.mode ?? "previous";
  if (mode === "causal") return resolveCausal(options);
  if (mode !== "previous" && mode !== "leaky-reference") {
    const supported = WAVENET_MODES.map(show).join(", ");
    throw invalid("wavenet.mode", `must be one of those supported, ${supported}`, show(mode));
  }
  rejectUnknown("wavenet.", options, ["mode", "layers", "reshapeFactor"]);
  const reshapeFactor = options.reshapeFactor ?? 4;
  requireCount("wavenet.reshapeFactor", reshapeFactor, 2);
  const layers = options.layers ?? defaultWaveNetLayers(blockSize, reshapeFactor);
  requireCount("wavenet.layers", layers, 1);
  const most = layersThatFit(blockSize, reshapeFactor);
  if (layers > most) {
    throw invalid(
      "wavenet.layers",
      `must be at most ${most} for a blockSize of ${blockSize} at reshapeFactor ${reshapeFactor}, where ${most} already ${most === 1 ? "merges" : "merge"} a whole block into one position`,
      `${layers}`,
    );
  }
  return { mode, layers, reshapeFactor };
}

function resolveCausal(options: WaveNetOptions): CausalWaveNetConfig {
  rejectUnknown("wavenet.", options, ["mode", "layers", "memory", "noise", "history", "alpha"]);
  const { layers = DEFAULT_CAUSAL_LAYERS, history = "carried", alpha = "learned" } = options;
  requireCount("wavenet.layers", layers, 1);
  if (layers > MOST_CAUSAL_LAYERS) {
    throw invalid("wavenet.layers", `must be at most ${MOST_CAUSAL_LAYERS}`, `${layers}`);
  }
  const memory = options.memory ?? Math.min(DEFAULT_CAUSAL_MEMORY, Math.floor(layers / 2));
  requireCount("wavenet.memory", memory, 0);
  if (memory > layers) {
    throw invalid(
      "wavenet.memory",
      `must be at most wavenet.layers, which is ${layers}`,
      `${memory}`,
    );
  }
  const { noise = 0 } = options;
  if (typeof noise !== "number" || !(noise >= 0 && noise < 1)) {
    throw invalid("wavenet.noise", "must be a number from 0 to below 1", show(noise));
  }
  requireChoice("wavenet.history", history, WAVENET_HISTORIES);
  requireChoice("wavenet.alpha", alpha, WAVENET_ALPHAS);
  return { mode: "causal", layers, memory, noise, history, alpha };
}

/** One layer more would find nothing to merge but padding. */
function layersThatFit(blockSize: number, reshapeFactor: number): number {
  let layers = 1;
  while (reshapeFactor ** layers < blockSize) layers++;
  return layers;
}

function requireCount(field: string, value: unknown, least: number): void {
  if (!Number.isSafeInteger(value) || (value as number) < least) {
    throw invalid(field, `must be a whole number from ${least}`, show(value));
  }
}

function requireChoice(field: string, value: unknown, choices: readonly unknown[]): void {
  if (!choices.includes(value)) {
    throw invalid(field, `must be one of ${choices.map(show).join(", ")}`, show(value));
  }
}

function rejectUnknown(prefix: string, options: object, known: readonly string[]): void {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  const unknown = given.map(([key]) => key).find((key) => !known.includes(key));
  if (unknown !== undefined) {
    throw new WaveGPTError(
      "ERR_WAVEGPT_CONFIG",
      `the model has no setting ${prefix}${unknown}: expected ${known.join(", ")}`,
    );
  }
}

function invalid(field: string, expected: string, got: string): WaveGPTError {
  return new WaveGPTError("ERR_WAVEGPT_CONFIG", `the model's ${field} ${expected}, got ${got}`);
}

function show(value: unknown): string {
  return JSON.stringify(value) ?? String(value);
}
