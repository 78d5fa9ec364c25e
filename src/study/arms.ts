import { decoderBlocks } from "../config/forms.js";
import type { SettingName, Settings, SettingsInput } from "../config/settings.js";
import type { Matched } from "./match.js";

/** One of the models that a study compares: trained alike but for its own settings. */
export interface Arm {
  /** Names it in folders and on the command line. */
  readonly id: string;
  readonly title: string;
  /** What it has otherwise than the others, from what all have. */
  readonly settings: (shared: Settings) => SettingsInput;
  /** Whether the loss is looked at by position and length of history, too. */
  readonly positions?: boolean;
  /** A GPT whose size is that of the study's {@link Study.subject}. */
  readonly matched?: Matched;
}

/** A table of arms and the settings that they share. */
export interface Study {
  readonly name: string;
  readonly title: string;
  /** Settings between the preset's and those that a user gives. */
  readonly settings: SettingsInput;
  readonly arms: readonly Arm[];
  /** The arm that the study is about. */
  readonly subject: string;
  /** The arms that the subject is to beat; the better of them counts. */
  readonly rivals: readonly string[];
  /** Trained on synthetic texts instead, one model for each task. */
  readonly probes?: boolean;
  /** A held-out loss in nats that others give for the setting. */
  readonly published?: { readonly source: string; readonly loss: number };
}

/** What arms set, and a user of a study therefore cannot. */
export const ARM_SETTINGS: readonly SettingName[] = [
  "model",
  "wavenet",
  "wavenetMemory",
  "wavenetNoise",
  "wavenetHistory",
  "wavenetAlpha",
  "order",
];

/** What arms start from; those of the causal form say so. */
const SHARED_FORM = { wavenet: "previous" } as const;
const causal = { model: "wavegpt", wavenet: "causal", order: "running" } as const;
/** Few blocks beside the WaveNet did best for their cost (docs/results.md, "What was tried"). */
const oneBlock = { ...causal, nLayers: 1 } as const;
/** Over several passes through a text, noise in what the WaveNet reads keeps it from learning the text by heart. */
const noisy = { ...oneBlock, wavenetNoise: 0.05 } as const;

const GPT: Arm = {
  id: "gpt",
  title: "GPT",
  settings: () => ({ model: "gpt", order: "shuffled" }),
  positions: true,
};

const PREVIOUS: Arm = {
  id: "previous",
  title: "WaveGPT, previous",
  // A number of layers that was given is meant for the causal form: this one merges with as many as a block needs.
  settings: () => ({
    ...{ model: "wavegpt", wavenet: "previous", order: "shuffled" },
    wavenetLayers: undefined,
  }),
  positions: true,
};

const CAUSAL: Arm = {
  id: "causal",
  title: "WaveGPT, causal",
  settings: () => oneBlock,
  positions: true,
};

/** Does a WaveNet over the text before the window lower the loss, at equal size and equal cost? */
const CONTEXT: Study = {
  name: "context",
  title: "Context beyond the window",
  settings: {
    ...SHARED_FORM,
    nLayers: 4,
    learningRate: 3e-3,
    schedule: "cosine",
    minLearningRate: 3e-4,
    warmupSteps: 0.05,
    steps: 2000,
    sampleTokens: 0,
    checkpointEvery: 250,
    keepCheckpoints: 1,
  },
  arms: [
    GPT,
    {
      id: "gpt-parameters",
      title: "GPT of causal's parameters",
      settings: () => ({ model: "gpt", order: "shuffled" }),
      matched: "parameters",
    },
    {
      id: "gpt-flops",
      title: "GPT of causal's FLOPs",
      settings: () => ({ model: "gpt", order: "shuffled" }),
      positions: true,
      matched: "flops",
    },
    {
      id: "gpt-larger",
      title: "GPT, one block more",
      // Of the width that has been tuned, and larger than causal in both respects.
      settings: (shared) => ({
        model: "gpt",
        order: "shuffled",
        nLayers: decoderBlocks(shared) + 1,
      }),
    },
    {
      id: "gpt-long",
      title: "GPT, twice the block",
      // As many tokens a step: half as many blocks.
      settings: ({ blockSize, batchSize }) => ({
        model: "gpt",
        order: "shuffled",
        blockSize: 2 * blockSize,
        batchSize: Math.max(1, Math.round(batchSize / 2)),
      }),
      positions: true,
    },
    {
      id: "gpt-running",
      title: "GPT, rows running on",
      settings: () => ({ model: "gpt", order: "running" }),
    },
    PREVIOUS,
    { ...CAUSAL, settings: () => noisy },
    {
      id: "causal-plain",
      title: "causal, no noise",
      settings: () => oneBlock,
    },
    {
      id: "causal-convolutions",
      title: "causal, no retention",
      settings: () => ({ ...noisy, wavenetMemory: 0 }),
    },
    {
      id: "causal-alpha-one",
      title: "causal, alpha 1",
      settings: () => ({ ...noisy, wavenetAlpha: "one" }),
    },
    {
      id: "causal-shuffled",
      title: "causal, history shuffled",
      settings: () => ({ ...noisy, wavenetHistory: "shuffled" }),
    },
    {
      id: "causal-zeroed",
      title: "causal, history zeroed",
      settings: () => ({ ...noisy, wavenetHistory: "zeroed" }),
    },
  ],
  subject: "causal",
  rivals: ["gpt-parameters", "gpt-flops"],
};

/** The same question at half the size, in heads as wide as those of the other. */
const CONTEXT_SMALL: Study = {
  ...CONTEXT,
  name: "context-small",
  title: "Context beyond the window, half the size",
  settings: { ...CONTEXT.settings, nEmbd: 96, nHeads: 3 },
  arms: CONTEXT.arms.filter(({ id }) =>
    ["gpt", "gpt-parameters", "gpt-flops", "causal"].includes(id),
  ),
};

/**
 * nanoGPT's setting for a CPU, as its README gives it with config/train_shakespeare_char.py: beside its
 * own model, ours in the same setting. Its blocks are drawn at random; its README gives a loss of 1.88.
 */
const NANOGPT: Study = {
  name: "nanogpt",
  title: "nanoGPT's CPU setting",
  settings: {
    ...SHARED_FORM,
    nLayers: 4,
    nHeads: 4,
    nEmbd: 128,
    blockSize: 64,
    batchSize: 12,
    dropout: 0,
    trainFraction: 0.9,
    steps: 2000,
    learningRate: 1e-3,
    schedule: "cosine",
    minLearningRate: 1e-4,
    warmupSteps: 0.05,
    weightDecay: 0.1,
    weightDecayOf: "matrices",
    beta2: 0.99,
    clip: 1,
    sampleTokens: 0,
    checkpointEvery: 250,
    keepCheckpoints: 1,
  },
  arms: [
    {
      id: "nanogpt",
      title: "nanoGPT's model",
      settings: () => ({ model: "nanogpt", order: "random" }),
    },
    { id: "gpt", title: "GPT", settings: () => ({ model: "gpt", order: "random" }) },
    CAUSAL,
  ],
  subject: "causal",
  rivals: ["nanogpt"],
  published: { source: "nanoGPT's README", loss: 1.88 },
};

/** From how far back can a model of each form answer? */
const PROBES: Study = {
  name: "probes",
  title: "Answers from beyond the window",
  settings: {
    ...SHARED_FORM,
    nLayers: 2,
    nHeads: 2,
    nEmbd: 64,
    blockSize: 32,
    batchSize: 64,
    dropout: 0,
    steps: 2000,
    learningRate: 2e-3,
    minLearningRate: 2e-4,
    clip: 1,
  },
  arms: [
    GPT,
    PREVIOUS,
    { ...CAUSAL, settings: () => causal },
    {
      id: "causal-deep",
      // Two taps with dilations up to 2,048: as far as the farthest distance.
      title: "WaveGPT, causal, 12 layers, no retention",
      settings: () => ({ ...causal, wavenetLayers: 12, wavenetMemory: 0 }),
    },
  ],
  subject: "causal",
  rivals: [],
  probes: true,
};

export const STUDIES: readonly Study[] = [CONTEXT, CONTEXT_SMALL, NANOGPT, PROBES];
