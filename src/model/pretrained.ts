import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { WaveGPTError } from "../../lib/errors.js";
import { type nn, safetensors, torch } from "../../lib/index.js";
import type {
  BlockForm,
  WaveGPTOptions,
  WaveNetAlpha,
  WaveNetHistory,
  WaveNetMode,
} from "./config.js";
import { GPT } from "./gpt.js";
import { NanoGPT } from "./nanogpt.js";
import { WaveGPT } from "./wavegpt.js";

/** The models, by the name the command line gives them. */
export type ModelKind = "wavegpt" | "gpt" | "nanogpt";

export const MODEL_KINDS = ["wavegpt", "gpt", "nanogpt"] as const satisfies ModelKind[];

export type LanguageModel = WaveGPT | GPT | NanoGPT;

const CONFIG_FILE = "config.json";
const WEIGHTS_FILE = "model.safetensors";

/** A model by its kind; those without a WaveNet leave the `wavenet` settings aside. */
export function createModel(
  kind: ModelKind,
  options: WaveGPTOptions,
  factory: nn.FactoryOptions = {},
): LanguageModel {
  if (kind === "wavegpt") return new WaveGPT(options, factory);
  const { wavenet: _, ...rest } = options;
  if (kind === "gpt") return new GPT(rest, factory);
  if (kind === "nanogpt") return new NanoGPT(rest, factory);
  throw new WaveGPTError(
    "ERR_WAVEGPT_CONFIG",
    `the model must be one of ${MODEL_KINDS.join(", ")}, got ${JSON.stringify(kind)}`,
  );
}

function kindOf(model: LanguageModel): ModelKind {
  if (model instanceof WaveGPT) return "wavegpt";
  return model instanceof NanoGPT ? "nanogpt" : "gpt";
}

/**
 * What stands in a `config.json` beside the weights: the arguments of the reference's constructor by its
 * own names, so that its `from_pretrained` reads it, and what ours knows beyond them.
 */
export function pretrainedConfig(model: LanguageModel): Record<string, string | number> {
  const { config } = model;
  const shared = {
    model_type: kindOf(model),
    vocab_size: config.vocabSize,
    n_embd: config.nEmbd,
    n_heads: config.nHeads,
    n_layers: config.nLayers,
    block_size: config.blockSize,
    dropout: config.dropout,
    block: config.block,
  };
  if (!(model instanceof WaveGPT)) return shared;
  const { wavenet } = model.config;
  if (wavenet.mode === "causal") {
    return {
      ...shared,
      wavenet_layers: wavenet.layers,
      wavenet_mode: wavenet.mode,
      wavenet_memory: wavenet.memory,
      wavenet_noise: wavenet.noise,
      wavenet_history: wavenet.history,
      wavenet_alpha: wavenet.alpha,
    };
  }
  return {
    ...shared,
    wavenet_layers: wavenet.layers,
    reshape_factor: wavenet.reshapeFactor,
    wavenet_mode: wavenet.mode,
  };
}

/**
 * Writes `model.safetensors` and `config.json` into a folder, which is made where it is missing. A
 * `config.json` that is there keeps its other keys.
 */
export function savePretrained(model: LanguageModel, folder: string): void {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, CONFIG_FILE);
  let existing: Record<string, unknown> = {};
  try {
    existing = readConfig(path);
  } catch (error) {
    if ((error as { cause?: NodeJS.ErrnoException }).cause?.code !== "ENOENT") throw error;
  }
  torch.tidy(() => safetensors.save(join(folder, WEIGHTS_FILE), model.stateDict()));
  const temporary = `${path}.tmp`;
  writeFileSync(
    temporary,
    `${JSON.stringify({ ...existing, ...pretrainedConfig(model) }, null, 2)}\n`,
  );
  renameSync(temporary, path);
}

/**
 * Loads a model from a folder with `model.safetensors` and `config.json`: one that {@link savePretrained}
 * wrote, a run's, or the reference's own. What a `config.json` of the reference leaves out are the
 * reference's defaults, its block form among them.
 *
 * @returns the model in evaluation mode
 * @throws WaveGPTError naming the file that is missing or does not fit
 */
export function fromPretrained(folder: string, factory: nn.FactoryOptions = {}): LanguageModel {
  const path = join(folder, CONFIG_FILE);
  const json = readConfig(path);
  const kind = json.model_type ?? "wavegpt";
  const model = createModel(
    kind as ModelKind,
    {
      vocabSize: json.vocab_size as number,
      nEmbd: json.n_embd as number | undefined,
      nHeads: json.n_heads as number | undefined,
      nLayers: json.n_layers as number | undefined,
      blockSize: json.block_size as number | undefined,
      dropout: json.dropout as number | undefined,
      block: (json.block ?? "reference") as BlockForm,
      wavenet: {
        mode: json.wavenet_mode as WaveNetMode | undefined,
        layers: (json.wavenet_layers ?? 3) as number,
        reshapeFactor: json.reshape_factor as number | undefined,
        memory: memoryOf(json),
        noise: json.wavenet_noise as number | undefined,
        history: json.wavenet_history as WaveNetHistory | undefined,
        alpha: json.wavenet_alpha as WaveNetAlpha | undefined,
      },
    },
    factory,
  );
  torch.tidy(() => {
    model.loadReferenceStateDict(safetensors.load(join(folder, WEIGHTS_FILE)));
  });
  model.eval();
  return model;
}

/** A causal model that was saved without this setting is one from before there was retention. */
function memoryOf(json: Record<string, unknown>): number | undefined {
  const { wavenet_memory: memory, wavenet_mode: mode } = json;
  return mode === "causal" ? ((memory ?? 0) as number) : (memory as number | undefined);
}

function readConfig(path: string): Record<string, unknown> {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(path, "utf8"));
  } catch (cause) {
    throw new WaveGPTError(
      "ERR_WAVEGPT_CONFIG",
      `cannot read the model's settings from ${path}: ${(cause as Error).message}`,
      { cause },
    );
  }
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw new WaveGPTError("ERR_WAVEGPT_CONFIG", `expected ${path} to hold a JSON object`);
  }
  return json as Record<string, unknown>;
}
