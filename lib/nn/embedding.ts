import type { Tensor } from "../tensor.js";
import { torch } from "../torch.js";
import { type FactoryOptions, factoryOptions } from "./factory.js";
import { embedding, paddingRow } from "./functional.js";
import { normal_ } from "./init.js";
import { Module } from "./module.js";
import { emptyParameter, type Parameter } from "./parameter.js";

export interface EmbeddingOptions extends FactoryOptions {
  /** A row that starts as zeros and never gets a gradient; negative counts from the end. None by default. */
  paddingIdx?: number | null;
}

/** Integers (...) from 0 to numEmbeddings - 1 -> rows of the weight (..., embeddingDim). */
export class Embedding extends Module {
  readonly numEmbeddings: number;
  readonly embeddingDim: number;
  readonly paddingIdx: number | null;
  /** (numEmbeddings, embeddingDim) */
  readonly weight: Parameter;

  constructor(
    numEmbeddings: number,
    embeddingDim: number,
    { paddingIdx = null, ...factory }: EmbeddingOptions = {},
  ) {
    super();
    this.numEmbeddings = numEmbeddings;
    this.embeddingDim = embeddingDim;
    this.paddingIdx = paddingIdx === null ? null : paddingRow(paddingIdx, numEmbeddings);
    this.weight = emptyParameter([numEmbeddings, embeddingDim], factoryOptions(factory));
    this.resetParameters();
  }

  /** Draws new values, normal with mean 0 and standard deviation 1. */
  resetParameters(): void {
    normal_(this.weight);
    const { paddingIdx } = this;
    if (paddingIdx !== null) {
      using _scope = torch.scope();
      torch.noGrad(() => this.weight.select(0, paddingIdx).zero_());
    }
  }

  forward(input: Tensor): Tensor {
    return embedding(input, this.weight, { paddingIdx: this.paddingIdx });
  }

  protected override extraRepr(): string {
    const padding = this.paddingIdx === null ? "" : `, padding_idx=${this.paddingIdx}`;
    return `${this.numEmbeddings}, ${this.embeddingDim}${padding}`;
  }
}
