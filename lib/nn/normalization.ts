import type { Tensor } from "../tensor.js";
import { type FactoryOptions, factoryOptions } from "./factory.js";
import { layerNorm, rmsNorm } from "./functional.js";
import { ones_, zeros_ } from "./init.js";
import { Module } from "./module.js";
import { emptyParameter, type Parameter } from "./parameter.js";
import { pythonBool, pythonFloat, pythonTuple } from "./python-repr.js";

export interface LayerNormOptions extends FactoryOptions {
  /** Added to the variance; 1e-5 by default. */
  eps?: number;
  /** Whether there is a weight (and bias); true by default. */
  elementwiseAffine?: boolean;
  /** Whether there is a bias beside the weight; true by default. */
  bias?: boolean;
}

/** Normalises over the last dimensions (those of `normalizedShape`) to mean 0 and variance 1, then scales and shifts. */
export class LayerNorm extends Module {
  readonly normalizedShape: readonly number[];
  readonly eps: number;
  /** (normalizedShape), or null. */
  readonly weight: Parameter | null;
  /** (normalizedShape), or null. */
  readonly bias: Parameter | null;

  constructor(
    normalizedShape: number | readonly number[],
    { eps = 1e-5, elementwiseAffine = true, bias = true, ...factory }: LayerNormOptions = {},
  ) {
    super();
    this.normalizedShape = toShape(normalizedShape);
    this.eps = eps;
    const make = (wanted: boolean): Parameter | null =>
      wanted ? emptyParameter(this.normalizedShape, factoryOptions(factory)) : null;
    this.weight = make(elementwiseAffine);
    this.bias = make(elementwiseAffine && bias);
    this.resetParameters();
  }

  /** Weight 1 and bias 0. */
  resetParameters(): void {
    if (this.weight !== null) {
      ones_(this.weight);
    }
    if (this.bias !== null) {
      zeros_(this.bias);
    }
  }

  forward(input: Tensor): Tensor {
    const { weight, bias, eps } = this;
    return layerNorm(input, this.normalizedShape, { weight, bias, eps });
  }

  protected override extraRepr(): string {
    return `${pythonTuple(this.normalizedShape)}, eps=${pythonFloat(this.eps)}, elementwise_affine=${pythonBool(this.weight !== null)}, bias=${pythonBool(this.bias !== null)}`;
  }
}

export interface RMSNormOptions extends FactoryOptions {
  /** Added to the mean square; the input dtype's epsilon where null, the default. */
  eps?: number | null;
  /** Whether there is a weight; true by default. */
  elementwiseAffine?: boolean;
}

/** Divides by the root mean square over the last dimensions (those of `normalizedShape`), then scales. */
export class RMSNorm extends Module {
  readonly normalizedShape: readonly number[];
  readonly eps: number | null;
  /** (normalizedShape), or null. */
  readonly weight: Parameter | null;

  constructor(
    normalizedShape: number | readonly number[],
    { eps = null, elementwiseAffine = true, ...factory }: RMSNormOptions = {},
  ) {
    super();
    this.normalizedShape = toShape(normalizedShape);
    this.eps = eps;
    this.weight = elementwiseAffine
      ? emptyParameter(this.normalizedShape, factoryOptions(factory))
      : null;
    this.resetParameters();
  }

  /** Weight 1. */
  resetParameters(): void {
    if (this.weight !== null) {
      ones_(this.weight);
    }
  }

  forward(input: Tensor): Tensor {
    return rmsNorm(input, this.normalizedShape, { weight: this.weight, eps: this.eps });
  }

  protected override extraRepr(): string {
    const eps = this.eps === null ? "None" : pythonFloat(this.eps);
    return `${pythonTuple(this.normalizedShape)}, eps=${eps}, elementwise_affine=${pythonBool(this.weight !== null)}`;
  }
}

function toShape(shape: number | readonly number[]): readonly number[] {
  return typeof shape === "number" ? [shape] : [...shape];
}
