import { WaveGPTError } from "../errors.js";
import type { Tensor } from "../tensor.js";
import { type FactoryOptions, factoryOptions } from "./factory.js";
import { conv1d } from "./functional.js";
import { resetWeightAndBias } from "./linear.js";
import { Module } from "./module.js";
import { emptyParameter, type Parameter } from "./parameter.js";

export interface Conv1dOptions extends FactoryOptions {
  /** 1 by default. */
  stride?: number;
  /** Zeros on either side; `"same"` keeps the length (stride 1), `"valid"` is 0, the default. */
  padding?: number | "same" | "valid";
  /** Distance between the kernel's elements; 1 by default. */
  dilation?: number;
  /** Both channel counts must be divisible by it; 1 by default. */
  groups?: number;
  /** Whether a bias is added; true by default. */
  bias?: boolean;
}

/** (N, inChannels, L) -> (N, outChannels, L'): cross-correlation along the last dimension. */
export class Conv1d extends Module {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly kernelSize: number;
  readonly stride: number;
  readonly padding: number | "same" | "valid";
  readonly dilation: number;
  readonly groups: number;
  /** (outChannels, inChannels / groups, kernelSize) */
  readonly weight: Parameter;
  /** (outChannels), or null. */
  readonly bias: Parameter | null;

  constructor(
    inChannels: number,
    outChannels: number,
    kernelSize: number,
    {
      stride = 1,
      padding = 0,
      dilation = 1,
      groups = 1,
      bias = true,
      ...factory
    }: Conv1dOptions = {},
  ) {
    super();
    if (groups < 1 || inChannels % groups !== 0 || outChannels % groups !== 0) {
      throw new WaveGPTError(
        "ERR_WAVEGPT_ARGUMENT",
        `Conv1d needs channels divisible by groups; got ${inChannels} in, ${outChannels} out and ${groups} groups.`,
        { argument: "groups" },
      );
    }
    if (padding === "same" && stride !== 1) {
      throw new WaveGPTError(
        "ERR_WAVEGPT_ARGUMENT",
        `Conv1d's padding "same" needs stride 1; got ${stride}.`,
        { argument: "padding" },
      );
    }
    this.inChannels = inChannels;
    this.outChannels = outChannels;
    this.kernelSize = kernelSize;
    this.stride = stride;
    this.padding = padding;
    this.dilation = dilation;
    this.groups = groups;
    const shape = [outChannels, inChannels / groups, kernelSize];
    this.weight = emptyParameter(shape, factoryOptions(factory));
    this.bias = bias ? emptyParameter([outChannels], factoryOptions(factory)) : null;
    this.resetParameters();
  }

  /** Draws new values, uniform on ±1 / sqrt(inChannels / groups * kernelSize). */
  resetParameters(): void {
    resetWeightAndBias(this.weight, this.bias);
  }

  forward(input: Tensor): Tensor {
    const { bias, stride, padding, dilation, groups } = this;
    return conv1d(input, this.weight, { bias, stride, padding, dilation, groups });
  }

  protected override extraRepr(): string {
    const { padding, dilation, groups } = this;
    return [
      `${this.inChannels}, ${this.outChannels}, kernel_size=(${this.kernelSize},), stride=(${this.stride},)`,
      ...(typeof padding === "string" ? [`padding=${padding}`] : []),
      ...(typeof padding === "number" && padding !== 0 ? [`padding=(${padding},)`] : []),
      ...(dilation === 1 ? [] : [`dilation=(${dilation},)`]),
      ...(groups === 1 ? [] : [`groups=${groups}`]),
      ...(this.bias === null ? ["bias=False"] : []),
    ].join(", ");
  }
}
