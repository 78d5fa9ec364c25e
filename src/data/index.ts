export { type Batch, IGNORED_TARGET } from "./batch.js";
export type { Block } from "./blocks.js";
export { EvaluationLoader, type EvaluationLoaderOptions } from "./evaluation.js";
export {
  DataLoader,
  type DataLoaderOptions,
  type DataLoaderState,
  DRAW_ORDERS,
  type DrawOrder,
} from "./loader.js";
export { RunningEvaluationLoader, type RunningEvaluationOptions } from "./running.js";
export { type Split, splitTokens } from "./split.js";
export { openTokenData, type TokenData } from "./token-data.js";
export { JoinedTokens, type TokenSequence } from "./token-sequence.js";
