export { GELU, Identity, ReLU, Sigmoid, SiLU, Tanh } from "./activation.js";
export { Buffer } from "./buffer.js";
export { type ClipNormOptions, clipGradNorm_, clipGradValue_ } from "./clip-gradients.js";
export { ModuleDict, ModuleList, Sequential } from "./containers.js";
export { Conv1d, type Conv1dOptions } from "./convolution.js";
export { Dropout } from "./dropout.js";
export { Embedding, type EmbeddingOptions } from "./embedding.js";
export type { FactoryOptions } from "./factory.js";
export * as functional from "./functional.js";
export * as fused from "./fused.js";
export * as init from "./init.js";
export { Linear, type LinearOptions } from "./linear.js";
export { Module, type UnaryModule } from "./module.js";
export {
  type AttentionOptions,
  MultiheadAttention,
  type MultiheadAttentionOptions,
} from "./multihead-attention.js";
export { LayerNorm, type LayerNormOptions, RMSNorm, type RMSNormOptions } from "./normalization.js";
export { Parameter } from "./parameter.js";
export type { LoadOptions, LoadResult, StateDict } from "./state-dict.js";
