import { binding } from "../binding.js";
import { cudaGraphError, isCurrentStreamCapturing } from "../cuda-graph.js";
import { isFloatingPoint } from "../dtype.js";
import { WaveGPTError } from "../errors.js";
import type { Handle } from "../native.js";
import { checkFinite } from "../nn/clip-gradients.js";
import { nativeOperator } from "../operator.js";
import { Tensor } from "../tensor.js";
import { torch } from "../torch.js";
import { type ClippedStep, Optimizer, savedOption } from "./optimizer.js";
import { checkOption, type ParamGroup, type ParamsOrGroups } from "./parameter-groups.js";
import { type GroupState, type ParamState, type StateLayout, stateError } from "./state.js";

/** Options of {@link Adam} and {@link AdamW}. */
export interface AdamOptions {
  /** Learning rate; 1e-3 by default. */
  lr?: number;
  /** Decay of the running means of gradient and squared gradient; [0.9, 0.999] by default. */
  betas?: readonly [number, number];
  /** Added to the denominator; 1e-8 by default. */
  eps?: number;
  /** 0 by default in Adam (added to the gradient), 0.01 in AdamW (taken off the parameter, times lr). */
  weightDecay?: number;
  /** Whether the largest squared mean so far is used; false by default. */
  amsgrad?: boolean;
  /** Whether the objective is maximised; false by default. */
  maximize?: boolean;
  /**
   * Whether a step can be captured in a CUDA graph; false by default. It then reads the learning rate from a float32
   * tensor, which {@link FusedAdam.writeLearningRates} and steps that are not captured bring up to date.
   */
  capturable?: boolean;
}

type Step = (...args: unknown[]) => unknown;

/** By the type of the learning rate. */
const stepsOf = (name: string) => ({
  number: nativeOperator(name) as Step,
  tensor: nativeOperator(name, "tensor_lr") as Step,
});
const adam = stepsOf("wavegpt::adam_");
const adamW = stepsOf("wavegpt::adamw_");
const normOf = nativeOperator("wavegpt::gradient_norm");

/** A group's parameters that have a gradient. */
interface Trained {
  readonly group: ParamGroup<AdamOptions>;
  readonly parameters: readonly Tensor[];
  readonly gradients: readonly Handle[];
}

/** A learning rate where captured steps read it. */
interface Rate {
  readonly tensor: Tensor;
  written: number;
}

abstract class FusedAdam extends Optimizer<AdamOptions> {
  protected abstract readonly decoupled: boolean;
  readonly #rates = new Map<ParamGroup<AdamOptions>, Rate>();

  /** Lets replays of a captured step use each group's `lr` as it is now; does not wait. */
  writeLearningRates(): void {
    for (const [group, rate] of this.#rates) {
      if (rate.written === group.lr) continue;
      rate.tensor.fill_(group.lr);
      rate.written = group.lr;
    }
  }

  override dispose(): void {
    super.dispose();
    for (const { tensor } of this.#rates.values()) tensor.dispose();
    this.#rates.clear();
  }

  protected override checkCapturable(): void {
    const operator = `${this.constructor.name}.step`;
    if (!this.paramGroups.every(({ capturable }) => capturable)) {
      throw cudaGraphError(operator, "expected `capturable: true` for a step that is captured");
    }
    const isReady = ({ group, parameters }: Trained) =>
      parameters.length === 0 ||
      (this.#rates.has(group) && parameters.every((parameter) => this.state.has(parameter)));
    if (!this.paramGroups.map(trainedOf).every(isReady)) {
      // A replay would begin anew each time.
      throw cudaGraphError(operator, "take a step before one is captured: it makes the state");
    }
  }

  #rateOf(group: ParamGroup<AdamOptions>, device: string): Tensor {
    let rate = this.#rates.get(group);
    if (rate === undefined) {
      const tensor = torch.keep(torch.full([], group.lr, { dtype: "float32", device }));
      rate = { tensor, written: group.lr };
      this.#rates.set(group, rate);
    }
    if (!isCurrentStreamCapturing()) this.writeLearningRates();
    return rate.tensor;
  }

  protected override stepGroup(group: ParamGroup<AdamOptions>): void {
    this.update(trainedOf(group), null, null);
  }

  protected override stepClipped({ maxNorm, errorIfNonfinite = false }: ClippedStep): Tensor {
    const groups = this.paramGroups.map(trainedOf);
    const [first] = groups;
    if (first !== undefined && groups.length === 1 && !errorIfNonfinite) {
      return new Tensor(this.update(first, maxNorm, null) as Handle);
    }
    // The norm is that of all groups together, so it stands before the first one's step.
    const norm = new Tensor(normOf(groups.flatMap(({ gradients }) => gradients)) as Handle);
    if (errorIfNonfinite) checkFinite(norm, 2);
    for (const trained of groups) {
      this.update(trained, maxNorm, norm);
    }
    return norm;
  }

  /** Returns the norm of the gradients, null without `maxNorm`. */
  private update(
    { group, parameters, gradients }: Trained,
    maxNorm: number | null,
    norm: Tensor | null,
  ): Handle | null {
    const { amsgrad, betas, capturable, eps, maximize, weightDecay } = group;
    const [first] = parameters;
    const lr = capturable && first ? this.#rateOf(group, first.device) : null;
    const states = parameters.map((parameter) =>
      this.stateOf(parameter, () => newState(this.constructor.name, parameter, amsgrad)),
    );
    const steps = this.decoupled ? adamW : adam;
    const step = lr === null ? steps.number : steps.tensor;
    return step(
      parameters.map(({ handle }) => handle),
      gradients,
      pick(states, "exp_avg"),
      pick(states, "exp_avg_sq"),
      amsgrad ? pick(states, "max_exp_avg_sq") : [],
      pick(states, "step"),
      lr === null ? group.lr : lr.handle,
      betas[0],
      betas[1],
      weightDecay,
      eps,
      amsgrad,
      maximize,
      maxNorm,
      norm === null ? null : norm.handle,
    ) as Handle | null;
  }

  protected override checkOptions(group: ParamGroup<AdamOptions>): void {
    const name = this.constructor.name;
    checkOption(name, "lr", group.lr);
    checkOption(name, "eps", group.eps);
    checkOption(name, "weightDecay", group.weightDecay);
    checkOption(name, "betas[0]", group.betas[0], { below: 1 });
    checkOption(name, "betas[1]", group.betas[1], { below: 1 });
  }

  protected override groupState(group: ParamGroup<AdamOptions>): Record<string, unknown> {
    return {
      lr: group.lr,
      betas: [...group.betas],
      eps: group.eps,
      weight_decay: group.weightDecay,
      amsgrad: group.amsgrad,
      maximize: group.maximize,
      foreach: null,
      capturable: group.capturable,
      differentiable: false,
      fused: true,
      decoupled_weight_decay: this.decoupled,
    };
  }

  protected override groupOptions(state: GroupState): Required<AdamOptions> {
    const { defaults } = this;
    const decoupled = savedOption(state, "decoupled_weight_decay", this.decoupled);
    if (decoupled !== this.decoupled) {
      throw stateError(
        `The state dict is of ${decoupled ? "AdamW" : "Adam"} (decoupled_weight_decay is ${decoupled}); one of ${this.constructor.name} was expected.`,
      );
    }
    return {
      lr: savedOption(state, "lr", defaults.lr),
      betas: savedBetas(state, defaults.betas),
      eps: savedOption(state, "eps", defaults.eps),
      weightDecay: savedOption(state, "weight_decay", defaults.weightDecay),
      amsgrad: savedOption(state, "amsgrad", defaults.amsgrad),
      maximize: savedOption(state, "maximize", defaults.maximize),
      // Says how this optimizer computes, not what was computed.
      capturable: defaults.capturable,
    };
  }

  protected override stateLayout({ amsgrad }: Required<AdamOptions>): StateLayout {
    return {
      shaped: ["exp_avg", "exp_avg_sq", ...(amsgrad ? ["max_exp_avg_sq"] : [])],
      step: true,
    };
  }
}

/** Adam (Kingma and Ba, 2014), with libtorch's fused operator's numbers: one native call a step for each group. */
export class Adam extends FusedAdam {
  protected override readonly decoupled = false;

  constructor(params: ParamsOrGroups<AdamOptions>, options: AdamOptions = {}) {
    super(params, withDefaults(options, 0));
  }
}

/** Adam with decoupled weight decay (Loshchilov and Hutter, 2017), otherwise as {@link Adam}. */
export class AdamW extends FusedAdam {
  protected override readonly decoupled = true;

  constructor(params: ParamsOrGroups<AdamOptions>, options: AdamOptions = {}) {
    super(params, withDefaults(options, 0.01));
  }
}

function withDefaults(
  {
    lr = 1e-3,
    betas = [0.9, 0.999],
    eps = 1e-8,
    weightDecay,
    amsgrad = false,
    maximize = false,
    capturable = false,
  }: AdamOptions,
  defaultWeightDecay: number,
): Required<AdamOptions> {
  return {
    ...{ lr, betas, eps, weightDecay: weightDecay ?? defaultWeightDecay },
    ...{ amsgrad, maximize, capturable },
  };
}

function trainedOf(group: ParamGroup<AdamOptions>): Trained {
  const found = binding.gradients(group.params.map(({ handle }) => handle));
  return {
    group,
    parameters: group.params.filter((_, index) => found[index] !== null),
    gradients: found.filter((gradient) => gradient !== null),
  };
}

function newState(optimizer: string, parameter: Tensor, amsgrad: boolean): ParamState {
  const { device, dtype } = parameter;
  if (!isFloatingPoint(dtype)) {
    throw new WaveGPTError(
      "ERR_WAVEGPT_DTYPE",
      `${optimizer} needs parameters of a floating-point dtype; one is ${dtype}.`,
    );
  }
  return {
    // A tensor beside the parameter, as PyTorch's fused operators keep it.
    step: torch.zeros([], { dtype: "float32", device }),
    exp_avg: torch.zerosLike(parameter, { memoryFormat: "preserve_format" }),
    exp_avg_sq: torch.zerosLike(parameter, { memoryFormat: "preserve_format" }),
    ...(amsgrad && {
      max_exp_avg_sq: torch.zerosLike(parameter, { memoryFormat: "preserve_format" }),
    }),
  };
}

function pick(states: readonly ParamState[], key: string): Handle[] {
  return states.map((entries) => (entries[key] as Tensor).handle);
}

function savedBetas(
  state: GroupState,
  fallback: readonly [number, number],
): readonly [number, number] {
  const { betas } = state;
  if (betas === undefined) {
    return fallback;
  }
  if (
    !Array.isArray(betas) ||
    betas.length !== 2 ||
    betas.some((beta) => typeof beta !== "number")
  ) {
    throw stateError(`param_groups' betas must be two numbers; got ${JSON.stringify(betas)}.`);
  }
  return betas as unknown as readonly [number, number];
}
