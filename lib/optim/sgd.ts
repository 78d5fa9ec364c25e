import { WaveGPTError } from "../errors.js";
import type { Tensor } from "../tensor.js";
import { torch } from "../torch.js";
import { inPlaceOperator, type Trained, trainedByDeviceAndDtype } from "./fused.js";
import { Optimizer, savedOption } from "./optimizer.js";
import { checkOption, type ParamGroup, type ParamsOrGroups } from "./parameter-groups.js";
import type { GroupState, StateLayout } from "./state.js";

export interface SGDOptions {
  /** Learning rate; 1e-3 by default. */
  lr?: number;
  /** 0 by default. */
  momentum?: number;
  /** How much of the gradient the momentum leaves out; 0 by default. */
  dampening?: number;
  /** Added to the gradient, times the parameter; 0 by default. */
  weightDecay?: number;
  /** Needs momentum and no dampening; false by default. */
  nesterov?: boolean;
  /** Whether the objective is maximised; false by default. */
  maximize?: boolean;
}

const fusedSgd = inPlaceOperator("aten::_fused_sgd_");

/** Stochastic gradient descent with momentum as PyTorch defines it, by libtorch's fused operator. */
export class SGD extends Optimizer<SGDOptions> {
  constructor(
    params: ParamsOrGroups<SGDOptions>,
    {
      lr = 1e-3,
      momentum = 0,
      dampening = 0,
      weightDecay = 0,
      nesterov = false,
      maximize = false,
    }: SGDOptions = {},
  ) {
    super(params, { lr, momentum, dampening, weightDecay, nesterov, maximize });
  }

  protected override stepGroup(group: ParamGroup<SGDOptions>): void {
    for (const trained of trainedByDeviceAndDtype("SGD", group.params)) {
      if (group.momentum === 0) {
        stepFused(group, trained, [], false);
        continue;
      }
      // A buffer's first step writes it and reads nothing, so it takes a call of its own.
      const first = trained.filter(({ parameter }) => !this.state.has(parameter));
      const later = trained.filter(({ parameter }) => this.state.has(parameter));
      for (const members of [first, later]) {
        const buffers = members.map(
          ({ parameter, gradient }) =>
            this.stateOf(parameter, () => ({ momentum_buffer: torch.emptyLike(gradient) }))
              .momentum_buffer as Tensor,
        );
        if (members.length > 0) {
          stepFused(group, members, buffers, members === first);
        }
      }
    }
  }

  protected override checkOptions(group: ParamGroup<SGDOptions>): void {
    checkOption("SGD", "lr", group.lr);
    checkOption("SGD", "momentum", group.momentum);
    checkOption("SGD", "weightDecay", group.weightDecay);
    if (group.nesterov && (group.momentum === 0 || group.dampening !== 0)) {
      throw new WaveGPTError(
        "ERR_WAVEGPT_ARGUMENT",
        `SGD's nesterov needs a momentum and no dampening; got momentum ${group.momentum} and dampening ${group.dampening}.`,
        { argument: "nesterov" },
      );
    }
  }

  protected override groupState(group: ParamGroup<SGDOptions>): Record<string, unknown> {
    return {
      lr: group.lr,
      momentum: group.momentum,
      dampening: group.dampening,
      weight_decay: group.weightDecay,
      nesterov: group.nesterov,
      maximize: group.maximize,
      foreach: null,
      differentiable: false,
      fused: true,
    };
  }

  protected override groupOptions(state: GroupState): Required<SGDOptions> {
    const { defaults } = this;
    return {
      lr: savedOption(state, "lr", defaults.lr),
      momentum: savedOption(state, "momentum", defaults.momentum),
      dampening: savedOption(state, "dampening", defaults.dampening),
      weightDecay: savedOption(state, "weight_decay", defaults.weightDecay),
      nesterov: savedOption(state, "nesterov", defaults.nesterov),
      maximize: savedOption(state, "maximize", defaults.maximize),
    };
  }

  protected override stateLayout({ momentum }: Required<SGDOptions>): StateLayout {
    return { shaped: momentum === 0 ? [] : ["momentum_buffer"], step: false };
  }
}

function stepFused(
  { lr, momentum, dampening, weightDecay, nesterov, maximize }: ParamGroup<SGDOptions>,
  members: readonly Trained[],
  buffers: readonly Tensor[],
  isFirstStep: boolean,
): void {
  fusedSgd(
    members.map(({ parameter }) => parameter),
    members.map(({ gradient }) => gradient),
    buffers,
    weightDecay,
    momentum,
    lr,
    dampening,
    nesterov,
    maximize,
    isFirstStep,
  );
}
