import { nn, type Tensor } from "../../lib/index.js";
import type { GPTConfig, Kernels } from "./config.js";

const { linear, scaledDotProductAttention } = nn.functional;
const { fused } = nn;

/**
 * Self-attention in which position t sees positions up to t. It has the parameters, names and numbers
 * of `nn.MultiheadAttention`, but projects queries, keys and values at once and keeps the batch first
 * throughout, which saves two copies.
 */
export class CausalSelfAttention extends nn.MultiheadAttention {
  readonly #kernels: Kernels;

  constructor(
    {
      nEmbd,
      nHeads,
      dropout,
      kernels,
    }: Pick<GPTConfig, "nEmbd" | "nHeads" | "dropout" | "kernels">,
    factory: nn.LinearOptions,
  ) {
    super(nEmbd, nHeads, { dropout, batchFirst: true, ...factory });
    this.#kernels = kernels;
  }

  /** @param x - (B, T, C) @returns (B, T, C) */
  attend(x: Tensor): Tensor {
    return this.#kernels === "fused" ? this.#fused(x) : this.#composed(x);
  }

  #fused(x: Tensor): Tensor {
    const { dropout: p, training } = this;
    const inProjection = { weight: this.in_proj_weight!, bias: this.in_proj_bias };
    const mixed = fused.causalAttention(fused.linear(x, inProjection), this.numHeads, {
      p,
      training,
    });
    return fused.linear(mixed, this.out_proj);
  }

  #composed(x: Tensor): Tensor {
    const [b, t, c] = x.shape as [number, number, number];
    const [q, k, v] = linear(x, this.in_proj_weight!, this.in_proj_bias)
      .view(b, t, 3, this.numHeads, c / this.numHeads)
      .permute(2, 0, 3, 1, 4)
      .unbind(0) as [Tensor, Tensor, Tensor];
    const mixed = scaledDotProductAttention(q, k, v, {
      dropoutP: this.training ? this.dropout : 0,
      isCausal: true,
    });
    return this.out_proj.forward(mixed.transpose(1, 2).reshape(b, t, c));
  }
}
