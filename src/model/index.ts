export type { WaveNetMemory } from "./causal-wavenet.js";
export {
  BLOCK_FORMS,
  type BlockForm,
  type CausalWaveNetConfig,
  DEFAULT_BLOCK,
  DEFAULT_CAUSAL_LAYERS,
  DEFAULT_CAUSAL_MEMORY,
  defaultWaveNetLayers,
  type GPTConfig,
  type GPTOptions,
  KERNELS,
  type Kernels,
  type MergingWaveNetConfig,
  resolveGPTConfig,
  resolveWaveGPTConfig,
  WAVENET_ALPHAS,
  WAVENET_HISTORIES,
  WAVENET_MODES,
  type WaveGPTConfig,
  type WaveGPTOptions,
  type WaveNetAlpha,
  type WaveNetConfig,
  type WaveNetHistory,
  type WaveNetMode,
  type WaveNetOptions,
} from "./config.js";
export { GPT } from "./gpt.js";
export type { History } from "./history.js";
export type { ForwardOptions, ForwardResult, ForwardResultWithLoss } from "./model.js";
export { NanoGPT } from "./nanogpt.js";
export {
  createModel,
  fromPretrained,
  type LanguageModel,
  MODEL_KINDS,
  type ModelKind,
  pretrainedConfig,
  savePretrained,
} from "./pretrained.js";
export { WaveGPT } from "./wavegpt.js";
