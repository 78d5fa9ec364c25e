export {
  BLOCK_FORMS,
  type BlockForm,
  DEFAULT_BLOCK,
  defaultWaveNetLayers,
  type GPTConfig,
  type GPTOptions,
  KERNELS,
  type Kernels,
  resolveGPTConfig,
  resolveWaveGPTConfig,
  WAVENET_MODES,
  type WaveGPTConfig,
  type WaveGPTOptions,
  type WaveNetConfig,
  type WaveNetMode,
} from "./config.js";
export { GPT } from "./gpt.js";
export type { ForwardOptions, ForwardResult, ForwardResultWithLoss } from "./model.js";
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
