import type { Tensor } from "../tensor.js";
import { type FactoryOptions, factoryOptions } from "./factory.js";
import { linear } from "./functional.js";
import { calculateFanInAndFanOut, kaimingUniform_, uniform_ } from "./init.js";
import { Module } from "./module.js";
import { emptyParameter, type Parameter } from "./parameter.js";
import { pythonBool } from "./python-repr.js";

export interface LinearOptions extends FactoryOptions {
  /** Whether a bias is added; true by default. */
  bias?: boolean;
}

/** (..., inFeatures) -> (..., outFeatures): `x @ weight.T + bias`. */
export class Linear extends Module {
  readonly inFeatures: number;
  readonly outFeatures: number;
  /** (outFeatures, inFeatures) */
  readonly weight: Parameter;
  /** (outFeatures), or null. */
  readonly bias: Parameter | null;

  constructor(
    inFeatures: number,
    outFeatures: number,
    { bias = true, ...factory }: LinearOptions = {},
  ) {
    super();
    this.inFeatures = inFeatures;
    this.outFeatures = outFeatures;
    this.weight = emptyParameter([outFeatures, inFeatures], factoryOptions(factory));
    this.bias = bias ? emptyParameter([outFeatures], factoryOptions(factory)) : null;
    this.resetParameters();
  }

  /** Draws new values, uniform on ±1 / sqrt(inFeatures). */
  resetParameters(): void {
    resetWeightAndBias(this.weight, this.bias);
  }

  forward(input: Tensor): Tensor {
    return linear(input, this.weight, this.bias);
  }

  protected override extraRepr(): string {
    return `in_features=${this.inFeatures}, out_features=${this.outFeatures}, bias=${pythonBool(this.bias !== null)}`;
  }
}

/** The default initialisation that linear and convolutional layers share. */
export function resetWeightAndBias(weight: Parameter, bias: Parameter | null): void {
  kaimingUniform_(weight, { a: Math.sqrt(5) });
  if (bias !== null) {
    const { fanIn } = calculateFanInAndFanOut(weight);
    const bound = fanIn > 0 ? 1 / Math.sqrt(fanIn) : 0;
    uniform_(bias, { a: -bound, b: bound });
  }
}
