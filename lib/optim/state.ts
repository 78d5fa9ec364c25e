import { WaveGPTError } from "../errors.js";
import { Tensor } from "../tensor.js";
import { torch } from "../torch.js";

/** What an optimizer remembers of one parameter, by PyTorch's names (`exp_avg`, `step`, ...). */
export type ParamState = Record<string, Tensor>;

/** A group in a state dict: options by PyTorch's snake_case names, and the numbers of its parameters. */
export interface GroupState {
  params: number[];
  param_names?: string[];
  lr: number;
  initial_lr?: number;
  [option: string]: unknown;
}

/** PyTorch's `optimizer.state_dict()`. */
export interface OptimizerStateDict {
  /** By the parameter's number, counted through all groups. */
  state: Record<number, ParamState>;
  param_groups: GroupState[];
}

/** A state dict in a form for a safetensors file (`state.0.exp_avg`, ...) and a JSON file. */
export interface FlatOptimizerState {
  tensors: Record<string, Tensor>;
  config: { param_groups: GroupState[] };
}

export function flatten({ state, param_groups }: OptimizerStateDict): FlatOptimizerState {
  const tensors: [string, Tensor][] = [];
  for (const [index, entries] of Object.entries(state)) {
    for (const [key, tensor] of Object.entries(entries)) {
      tensors.push([`state.${index}.${key}`, tensor]);
    }
  }
  return { tensors: Object.fromEntries(tensors), config: { param_groups } };
}

export function unflatten(
  tensors: Readonly<Record<string, Tensor>>,
  { param_groups }: FlatOptimizerState["config"],
): OptimizerStateDict {
  const state: OptimizerStateDict["state"] = {};
  for (const [name, tensor] of Object.entries(tensors)) {
    const [, index, key] = /^state\.(\d+)\.(.+)$/.exec(name) ?? [];
    if (index === undefined || key === undefined) {
      throw stateError(`"${name}" is no name of an optimizer's state; expected state.NUMBER.KEY.`);
    }
    const entries = state[Number(index)] ?? {};
    entries[key] = tensor;
    state[Number(index)] = entries;
  }
  return { state, param_groups };
}

/** Which tensors a parameter's state has to have, and of which shape. */
export interface StateLayout {
  /** Keys whose tensor is shaped as the parameter. */
  readonly shaped: readonly string[];
  /** Whether there is a step counter. */
  readonly step: boolean;
}

/** Checks one parameter's loaded state; returns what is wrong. */
export function stateProblems(
  index: number,
  parameter: Tensor,
  entries: Readonly<ParamState>,
  layout: StateLayout,
): string[] {
  const problems: string[] = [];
  const expected = [...(layout.step ? ["step"] : []), ...layout.shaped];
  for (const key of expected) {
    const value: unknown = entries[key];
    if (key === "step" && typeof value === "number") {
      continue;
    }
    if (!(value instanceof Tensor)) {
      problems.push(`state.${index}.${key} is missing.`);
      continue;
    }
    const shape = key === "step" ? [] : parameter.shape;
    // Old checkpoints have the counter as one element of one dimension.
    const fits = key === "step" ? value.numel() === 1 : value.shape.join() === shape.join();
    if (!fits) {
      problems.push(
        `state.${index}.${key} has shape [${value.shape.join(", ")}]; [${shape.join(", ")}] was expected.`,
      );
    }
  }
  for (const key of Object.keys(entries)) {
    if (!expected.includes(key)) {
      problems.push(`state.${index}.${key} is unexpected.`);
    }
  }
  return problems;
}

/** A copy of loaded state outside all scopes, as the fused operators want it. */
export function adopt(parameter: Tensor, key: string, value: Tensor | number): Tensor {
  using _scope = torch.scope();
  const { device } = parameter;
  if (key === "step") {
    return torch.keep(
      typeof value === "number"
        ? torch.full([], value, { dtype: "float32", device })
        : value.detach().reshape([]).to({ dtype: "float32", device, copy: true }),
    );
  }
  const source = value as Tensor;
  return torch.keep(source.detach().to({ dtype: parameter.dtype, device, copy: true }));
}

export function stateError(problem: string): WaveGPTError {
  return new WaveGPTError("ERR_WAVEGPT_STATE_DICT", problem);
}
