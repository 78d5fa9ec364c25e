export { Adam, type AdamOptions, AdamW } from "./adam.js";
export { type ClippedStep, Optimizer } from "./optimizer.js";
export type { GroupInput, ParamGroup, Params, ParamsOrGroups } from "./parameter-groups.js";
export * as schedules from "./schedules/index.js";
export { SGD, type SGDOptions } from "./sgd.js";
export type {
  FlatOptimizerState,
  GroupState,
  OptimizerStateDict,
  ParamState,
} from "./state.js";
