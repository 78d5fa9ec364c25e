import * as z from "zod";
import {
  BLOCK_FORMS,
  DEFAULT_BLOCK,
  DEFAULT_CAUSAL_LAYERS,
  DEFAULT_CAUSAL_MEMORY,
  KERNELS,
  WAVENET_ALPHAS,
  WAVENET_HISTORIES,
  WAVENET_MODES,
} from "../model/config.js";
import { DEFAULT_WAVENET } from "./forms.js";

/** The headings under which `--help` lists the settings. */
export type SettingGroup = "Model" | "Data" | "Training" | "Learning rate" | "Reports" | "Machine";

/** What every setting carries beside its type and default. */
export interface SettingMeta {
  /** One sentence, without a full stop, for `--help` and the documentation. */
  readonly description: string;
  readonly group: SettingGroup;
  /** What stands for the value in `--help`, e.g. `N`. */
  readonly value?: string;
  /** What `--help` shows where the default depends on something else. */
  readonly derived?: string;
}

const describe = <T extends z.ZodType>(
  schema: T,
  group: SettingGroup,
  description: string,
  more: Omit<SettingMeta, "group" | "description"> = {},
): T => schema.meta({ group, description, ...more });

const count = () => z.int().min(1);
/** A number of steps; below 1, a fraction of the whole run. */
const span = () =>
  z
    .number()
    .positive()
    .refine((n) => n < 1 || Number.isInteger(n), {
      message: "expected a whole number of steps, or a fraction of the run between 0 and 1",
    });

/**
 * Every setting of a training run: its type, bounds, default, description and (from its name) its flag.
 * Configuration files use the same names; `nEmbd`, `n-embd` and `n_embd` are one key.
 */
export const settingsSchema = z.strictObject({
  // Model
  model: describe(
    z.enum(["wavegpt", "gpt", "nanogpt"]).default("wavegpt"),
    "Model",
    "Which model to train: WaveGPT, the same GPT without its WaveNet, or nanoGPT's",
  ),
  wavenet: describe(
    z.enum(WAVENET_MODES).default(DEFAULT_WAVENET),
    "Model",
    "What WaveGPT's WaveNet reads: the tokens before the block, or all of the text up to each token",
  ),
  wavenetLayers: describe(count().optional(), "Model", "Layers of the WaveNet", {
    value: "N",
    derived: `causal: ${DEFAULT_CAUSAL_LAYERS}; previous: as many as the block needs, at most 3`,
  }),
  wavenetMemory: describe(
    z.int().min(0).optional(),
    "Model",
    "causal: how many of the WaveNet's layers, the last ones, are retention instead of convolutions",
    { value: "N", derived: `${DEFAULT_CAUSAL_MEMORY}, at most half of the layers` },
  ),
  wavenetNoise: describe(
    z.number().min(0).lt(1).optional(),
    "Model",
    "causal: probability with which a token that the WaveNet reads is another while training",
    { value: "P", derived: "0" },
  ),
  wavenetReshapeFactor: describe(
    count().optional(),
    "Model",
    "previous: how many neighbouring positions each layer of the WaveNet folds into one",
    { value: "N", derived: "4" },
  ),
  wavenetHistory: describe(
    z.enum(WAVENET_HISTORIES).optional(),
    "Model",
    "causal: what a row knows of the text before its block: its own history, another row's, or none",
    { derived: "carried" },
  ),
  wavenetAlpha: describe(
    z.enum(WAVENET_ALPHAS).optional(),
    "Model",
    "causal: whether alpha is learned, or stays at one, where the decoder speaks alone",
    { derived: "learned" },
  ),
  block: describe(
    z.enum(BLOCK_FORMS).default(DEFAULT_BLOCK),
    "Model",
    "Form of a decoder block: the reference's, or layer norms before attention and feed-forward",
  ),
  nEmbd: describe(count().default(128), "Model", "Width of the model (C)", { value: "N" }),
  nHeads: describe(count().default(4), "Model", "Attention heads; must divide the width", {
    value: "N",
  }),
  nLayers: describe(count().optional(), "Model", "Decoder blocks", {
    value: "N",
    derived: "1 with --wavenet causal, else 4",
  }),
  blockSize: describe(
    count().default(64),
    "Model",
    "Tokens the model attends to, and of a training sequence",
    { value: "N" },
  ),
  dropout: describe(
    z.number().min(0).lt(1).default(0.2),
    "Model",
    "Probability with which dropout zeroes an activation while training",
    { value: "P" },
  ),

  // Data
  data: describe(
    z.string().min(1).optional(),
    "Data",
    "Text (a .txt file or a folder of them), or tokens: what wavegpt prepare wrote, .npy or .bin files",
    { value: "FILE|DIR", derived: "Tiny Shakespeare" },
  ),
  trainFraction: describe(
    z.number().gt(0).lt(1).default(0.8),
    "Data",
    "Share of the text, from its beginning, to train on; the rest is held out",
    { value: "P" },
  ),
  tokenizer: describe(
    z.string().min(1).default("char"),
    "Data",
    "How text is cut into tokens: by characters, as GPT-2 does, or as a tokenizer.json says",
    { value: "char|gpt2|FILE" },
  ),
  unknown: describe(
    z.string().min(1).optional(),
    "Data",
    "Character that stands for characters the training text lacks",
    { value: "CHAR", derived: "they are an error" },
  ),
  vocabSize: describe(
    count().optional(),
    "Data",
    "Ids that .npy or .bin files of tokens may hold, where their tokenizer is not at hand",
    { value: "N", derived: "the tokenizer's" },
  ),
  padVocabulary: describe(
    count().optional(),
    "Data",
    "The model's vocabulary is rounded up to a multiple of this; the ids added never occur",
    { value: "N", derived: "64 for byte-pair tokens, 1 for others" },
  ),
  previous: describe(
    z.enum(["text", "document"]).default("text"),
    "Data",
    "What stands before a block: the text before it, or only its own document, then padding",
  ),
  order: describe(
    z.enum(["shuffled", "running", "random"]).optional(),
    "Data",
    "Whether a batch's rows are the blocks of passes over the text in random order, run on through it from step to step, or begin anywhere",
    { derived: "running with --wavenet causal, else shuffled" },
  ),
  batchSize: describe(count().default(32), "Data", "Sequences an optimizer step learns from", {
    value: "N",
  }),
  accumulate: describe(
    count().default(1),
    "Data",
    "Parts in which a batch is computed, adding up gradients: same result, less memory",
    { value: "N" },
  ),

  // Training
  epochs: describe(z.number().positive().default(10), "Training", "Passes over the training text", {
    value: "N",
  }),
  stepsPerEpoch: describe(
    count().optional(),
    "Training",
    "Optimizer steps that count as an epoch",
    {
      value: "N",
      derived: "as many as the text fills",
    },
  ),
  steps: describe(count().optional(), "Training", "Optimizer steps in all, instead of epochs", {
    value: "N",
    derived: "epochs times steps per epoch",
  }),
  weightDecay: describe(z.number().min(0).default(0.01), "Training", "AdamW's weight decay", {
    value: "X",
  }),
  weightDecayOf: describe(
    z.enum(["all", "matrices"]).default("all"),
    "Training",
    "What decays: all weights, or only matrices, not biases and the weights of norms",
  ),
  beta1: describe(
    z.number().min(0).lt(1).default(0.9),
    "Training",
    "AdamW's decay of the gradient's mean",
    { value: "X" },
  ),
  beta2: describe(
    z.number().min(0).lt(1).default(0.999),
    "Training",
    "AdamW's decay of the gradient's square",
    { value: "X" },
  ),
  eps: describe(z.number().positive().default(1e-8), "Training", "AdamW's epsilon", { value: "X" }),
  clip: describe(
    z.number().min(0).default(0),
    "Training",
    "Largest norm of the gradient; larger ones are scaled down, 0 leaves all as they are",
    { value: "X" },
  ),
  seed: describe(
    z.int().min(0).default(1337),
    "Training",
    "Seed of the initial weights, dropout, the order of the data and the samples",
    { value: "N" },
  ),

  // Learning rate
  learningRate: describe(
    z.number().positive().default(3e-4),
    "Learning rate",
    "The (highest) learning rate",
    { value: "X" },
  ),
  schedule: describe(
    z
      .enum(["constant", "step", "multi-step", "linear-warmup", "cosine", "warmup-stable-decay"])
      .default("multi-step"),
    "Learning rate",
    "How the learning rate changes over the run",
  ),
  warmupSteps: describe(
    z.union([z.literal(0), span()]).default(0),
    "Learning rate",
    "Steps (below 1: share of the run) over which the rate rises from near 0",
    { value: "N" },
  ),
  milestones: describe(
    z.array(span()).min(1).default([0.7]),
    "Learning rate",
    "multi-step: when (steps, or shares of the run) the rate is multiplied by gamma",
    { value: "N,N" },
  ),
  stepSize: describe(
    span().default(0.25),
    "Learning rate",
    "step: steps (below 1: share of the run) between two multiplications by gamma",
    { value: "N" },
  ),
  gamma: describe(
    z.number().positive().default(0.1),
    "Learning rate",
    "step, multi-step: what the rate is multiplied by",
    { value: "X" },
  ),
  decaySteps: describe(
    span().default(0.2),
    "Learning rate",
    "warmup-stable-decay: steps (below 1: share of the run) of the final fall",
    { value: "N" },
  ),
  minLearningRate: describe(
    z.number().min(0).default(0),
    "Learning rate",
    "cosine, warmup-stable-decay: the rate at the end",
    { value: "X" },
  ),

  // Reports
  logEvery: describe(
    count().default(10),
    "Reports",
    "Steps between two lines of training loss; the line is their mean",
    { value: "N" },
  ),
  evalEvery: describe(count().optional(), "Reports", "Steps between two evaluations", {
    value: "N",
    derived: "once an epoch",
  }),
  evalBatches: describe(
    z.int().min(0).default(0),
    "Reports",
    "Batches of held-out text an evaluation takes, always the same; 0 takes all of it",
    { value: "N" },
  ),
  sampleTokens: describe(
    z.int().min(0).default(200),
    "Reports",
    "Tokens of sample text written at each evaluation; 0 writes none",
    { value: "N" },
  ),
  samplePrompt: describe(z.string().default("\n"), "Reports", "What the samples continue", {
    value: "TEXT",
  }),
  checkpointEvery: describe(
    z.int().min(0).default(500),
    "Reports",
    "Steps between two checkpoints; 0 keeps just the last step's",
    { value: "N" },
  ),
  keepCheckpoints: describe(count().default(2), "Reports", "How many checkpoints are kept", {
    value: "N",
  }),

  // Machine
  device: describe(
    z.enum(["auto", "cpu", "cuda", "mps"]).default("auto"),
    "Machine",
    "Where to compute; auto takes a GPU if there is one",
  ),
  dtype: describe(
    z.enum(["float32", "bfloat16"]).default("float32"),
    "Machine",
    "What to compute in; with bfloat16, weights stay float32",
  ),
  kernels: describe(
    z.enum(KERNELS).default("fused"),
    "Machine",
    "By what to compute: this package's fused kernels, or PyTorch's layers one by one",
  ),
  cudaGraph: describe(
    z.boolean().default(false),
    "Machine",
    "Launch each training step as one CUDA graph; same result, less waiting for the CPU",
  ),
  threads: describe(
    z.int().min(0).default(0),
    "Machine",
    "CPU threads; 0 leaves the number to libtorch",
    { value: "N" },
  ),
});

/** All settings of a run, complete. */
export type Settings = z.output<typeof settingsSchema>;
/** Settings as a caller gives them: those left out take their defaults. */
export type SettingsInput = z.input<typeof settingsSchema>;
export type SettingName = keyof Settings;

/** The kind of value a setting takes, for reading it from a flag. */
export type SettingKind = "number" | "numbers" | "string" | "choice" | "switch";

/** A setting as the command line sees it. */
export interface SettingDescription extends SettingMeta {
  readonly name: SettingName;
  /** E.g. `--batch-size`. */
  readonly flag: string;
  readonly kind: SettingKind;
  readonly choices: readonly string[];
}

/** `batchSize` -> `--batch-size`. */
export function flagOf(name: string): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

function innermost(schema: z.ZodType): z.ZodType {
  let inner = schema;
  while (inner instanceof z.ZodDefault || inner instanceof z.ZodOptional) {
    inner = inner.unwrap() as z.ZodType;
  }
  return inner;
}

function kindOf(schema: z.ZodType): SettingKind {
  switch (innermost(schema).def.type) {
    case "string":
      return "string";
    case "enum":
      return "choice";
    case "array":
      return "numbers";
    case "boolean":
      return "switch";
    default:
      return "number";
  }
}

/** Every setting, in the order of `--help`. */
export function describeSettings(): SettingDescription[] {
  return Object.entries(settingsSchema.shape).map(([name, schema]) => {
    const inner = innermost(schema);
    return {
      ...(schema.meta() as unknown as SettingMeta),
      name: name as SettingName,
      flag: flagOf(name),
      kind: kindOf(schema),
      choices: inner instanceof z.ZodEnum ? inner.options.map(String) : [],
    };
  });
}
