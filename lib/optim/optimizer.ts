import { cudaGraphError, isCurrentStreamCapturing } from "../cuda-graph.js";
import { clipGradNorm_ } from "../nn/clip-gradients.js";
import { zeroGradients } from "../nn/zero-gradients.js";
import type { Tensor } from "../tensor.js";
import { torch } from "../torch.js";
import {
  checkOption,
  type GroupInput,
  type ParamGroup,
  type ParamsOrGroups,
  readParams,
  toGroups,
} from "./parameter-groups.js";
import {
  adopt,
  type FlatOptimizerState,
  flatten,
  type GroupState,
  type OptimizerStateDict,
  type ParamState,
  type StateLayout,
  stateError,
  stateProblems,
  unflatten,
} from "./state.js";

/** A step by gradients that are clipped as `nn.clipGradNorm_` does. */
export interface ClippedStep {
  /** The largest 2-norm of all gradients together; 0 does not clip, and only reports the norm. */
  maxNorm: number;
  /** Whether a norm that is NaN or infinite is an error, and nothing is changed; false by default. */
  errorIfNonfinite?: boolean;
}

/**
 * What all optimizers share: parameter groups, and state in PyTorch's layout. State belongs to no scope and is freed
 * by {@link dispose}. Move a model to its device first: state is made on the parameters' device at the first step.
 */
export abstract class Optimizer<Options extends { lr?: number } = { lr?: number }> {
  /** Each group's parameters and options; change `lr` and others here between steps. */
  readonly paramGroups: readonly ParamGroup<Options>[];
  protected readonly defaults: Required<Options>;
  protected readonly state = new Map<Tensor, ParamState>();

  protected constructor(params: ParamsOrGroups<Options>, defaults: Required<Options>) {
    this.defaults = defaults;
    this.paramGroups = [];
    for (const group of toGroups(this.constructor.name, params)) {
      this.addParamGroup(group);
    }
  }

  /** Adds a group, as when layers are unfrozen during training. What it leaves out are the optimizer's own options. */
  addParamGroup(group: GroupInput<Options>): void {
    const taken = new Set(this.paramGroups.flatMap(({ params }) => params));
    const { params, ...options } = group;
    const given = Object.fromEntries(
      Object.entries(options).filter(([, value]) => value !== undefined),
    );
    const full = {
      ...this.defaults,
      ...given,
      ...readParams(this.constructor.name, params, taken),
    } as ParamGroup<Options>;
    this.checkOptions(full);
    (this.paramGroups as ParamGroup<Options>[]).push(full);
  }

  /** Changes the parameters by their gradients; those without a gradient stay as they are. */
  step(): void;
  /**
   * The same by gradients that are clipped, as after `nn.clipGradNorm_(parameters, maxNorm)`. Adam and AdamW clip on
   * their way and leave the gradients as they are; other optimizers scale them in place.
   *
   * @returns the gradients' norm before clipping, a temporary of the innermost scope.
   * @throws WaveGPTError `ERR_WAVEGPT_NONFINITE` where `errorIfNonfinite` is set and the norm is not finite.
   */
  step(clip: ClippedStep): Tensor;
  step(clip?: ClippedStep): Tensor | undefined {
    return torch.noGrad(() =>
      torch.tidy(() => {
        if (isCurrentStreamCapturing()) this.checkCapturable();
        if (clip !== undefined) {
          checkOption(this.constructor.name, "maxNorm", clip.maxNorm);
          return this.stepClipped(clip);
        }
        for (const group of this.paramGroups) {
          this.stepGroup(group);
        }
        return undefined;
      }),
    );
  }

  /** Drops the gradients of all parameters, or fills them with zeros where `setToNone` is false. */
  zeroGrad({ setToNone = true }: { setToNone?: boolean } = {}): void {
    for (const { params } of this.paramGroups) {
      zeroGradients(params, setToNone);
    }
  }

  /** As PyTorch's. The tensors are the optimizer's own: the next step changes them. */
  stateDict(): OptimizerStateDict {
    const numbers = new Map<Tensor, number>();
    for (const { params } of this.paramGroups) {
      for (const parameter of params) {
        numbers.set(parameter, numbers.size);
      }
    }
    const state: OptimizerStateDict["state"] = {};
    for (const [parameter, index] of numbers) {
      const entries = this.state.get(parameter);
      if (entries !== undefined) {
        state[index] = { ...entries };
      }
    }
    const groups = this.paramGroups.map((group): GroupState => {
      const { params, paramNames, initialLr } = group;
      return {
        ...this.groupState(group),
        lr: group.lr as number,
        ...(initialLr !== undefined && { initial_lr: initialLr }),
        ...(paramNames !== undefined && { param_names: [...paramNames] }),
        params: params.map((parameter) => numbers.get(parameter) as number),
      };
    });
    return { state, param_groups: groups };
  }

  /**
   * Takes over options and copies of the tensors, from {@link stateDict} or from PyTorch's.
   *
   * @throws WaveGPTError `ERR_WAVEGPT_STATE_DICT` that lists everything that does not fit. Nothing is loaded then.
   */
  loadStateDict(stateDict: OptimizerStateDict): void {
    const saved = stateDict.param_groups;
    const sizes = this.paramGroups.map(({ params }) => params.length);
    const savedSizes = saved.map(({ params }) => params.length);
    if (sizes.join() !== savedSizes.join()) {
      throw stateError(
        `The state dict does not fit ${this.constructor.name}: groups of [${sizes.join(", ")}] parameters were expected, it has [${savedSizes.join(", ")}].`,
      );
    }
    const options = saved.map((group) => this.groupOptions(group));
    const parameters = new Map<number, { parameter: Tensor; layout: StateLayout }>();
    for (const [index, { params }] of this.paramGroups.entries()) {
      const group = options[index] as Required<Options>;
      for (const [position, parameter] of params.entries()) {
        const number = saved[index]?.params[position] as number;
        parameters.set(number, { parameter, layout: this.stateLayout(group) });
      }
    }
    const problems: string[] = [];
    for (const [key, entries] of Object.entries(stateDict.state)) {
      const target = parameters.get(Number(key));
      if (target === undefined) {
        problems.push(`state.${key} is of no parameter of the groups.`);
      } else {
        problems.push(
          ...stateProblems(Number(key), target.parameter, present(entries), target.layout),
        );
      }
    }
    if (problems.length > 0) {
      throw stateError(
        `The state dict does not fit ${this.constructor.name}, and nothing was loaded:\n  ${problems.join("\n  ")}`,
      );
    }
    for (const [index, group] of this.paramGroups.entries()) {
      Object.assign(group, options[index]);
      const initialLr = saved[index]?.initial_lr;
      if (initialLr !== undefined) {
        group.initialLr = initialLr;
      }
    }
    this.dispose();
    for (const [key, entries] of Object.entries(stateDict.state)) {
      const parameter = parameters.get(Number(key))?.parameter as Tensor;
      const own = Object.entries(present(entries)).map(([name, value]): [string, Tensor] => [
        name,
        adopt(parameter, name, value),
      ]);
      if (own.length > 0) {
        this.state.set(parameter, Object.fromEntries(own));
      }
    }
  }

  /** {@link stateDict} as tensors for a safetensors file and a JSON object. */
  stateTensors(): FlatOptimizerState {
    return flatten(this.stateDict());
  }

  /** The way back from {@link stateTensors}; as {@link loadStateDict}. */
  loadStateTensors(
    tensors: Readonly<Record<string, Tensor>>,
    config: FlatOptimizerState["config"],
  ): void {
    this.loadStateDict(unflatten(tensors, config));
  }

  /** Frees the state. The parameters are left alone; a further step starts from no state. */
  dispose(): void {
    for (const entries of this.state.values()) {
      for (const tensor of Object.values(entries)) {
        tensor.dispose();
      }
    }
    this.state.clear();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Throws where a replay of this step would not do what the step itself would. */
  protected checkCapturable(): void {
    const name = this.constructor.name;
    throw cudaGraphError(
      `${name}.step`,
      "it would be replayed with this step's learning rate; Adam and AdamW can be captured, with `capturable: true`",
    );
  }

  /** One step of all groups by clipped gradients, without gradients being recorded; returns the norm. */
  protected stepClipped({ maxNorm, errorIfNonfinite = false }: ClippedStep): Tensor {
    const norm = clipGradNorm_(
      this.paramGroups.flatMap(({ params }) => params),
      maxNorm === 0 ? Number.POSITIVE_INFINITY : maxNorm,
      { errorIfNonfinite },
    );
    for (const group of this.paramGroups) {
      this.stepGroup(group);
    }
    return norm;
  }

  /** One step of one group, without gradients being recorded. */
  protected abstract stepGroup(group: ParamGroup<Options>): void;

  /** Throws where a group's options make no sense. */
  protected abstract checkOptions(group: ParamGroup<Options>): void;

  /** A group's options by PyTorch's names, those of PyTorch that have no meaning here included. */
  protected abstract groupState(group: ParamGroup<Options>): Record<string, unknown>;

  /** The way back from {@link groupState}; options that are missing keep the optimizer's. */
  protected abstract groupOptions(state: GroupState): Required<Options>;

  protected abstract stateLayout(options: Required<Options>): StateLayout;

  /** A parameter's state, made at its first step. */
  protected stateOf(parameter: Tensor, create: (parameter: Tensor) => ParamState): ParamState {
    let entries = this.state.get(parameter);
    if (entries === undefined) {
      entries = create(parameter);
      for (const tensor of Object.values(entries)) {
        torch.keep(tensor);
      }
      this.state.set(parameter, entries);
    }
    return entries;
  }
}

/** Without PyTorch's `None` entries, as SGD has them before its first step with momentum. */
function present(entries: Readonly<ParamState>): ParamState {
  return Object.fromEntries(
    Object.entries(entries).filter(([, value]) => (value as Tensor | null) !== null),
  );
}

/** An option from a state dict, or the default where it has none. */
export function savedOption<T extends number | boolean>(
  state: GroupState,
  key: string,
  fallback: T,
): T {
  const value = state[key];
  if (value === undefined) {
    return fallback;
  }
  if (typeof value !== typeof fallback) {
    throw stateError(`param_groups' ${key} must be a ${typeof fallback}; got ${String(value)}.`);
  }
  return value as T;
}
