import { nn, type Tensor } from "../../lib/index.js";
import { CausalSelfAttention } from "./attention.js";
import type { BlockForm, GPTConfig, Kernels } from "./config.js";

const { fused } = nn;

/** Two linear layers with a GELU between them, four times as wide inside, and dropout. */
export class FeedForward extends nn.Module {
  readonly net: nn.Sequential;
  readonly #first: nn.Linear;
  readonly #second: nn.Linear;

  constructor(nEmbd: number, dropout: number, factory: nn.LinearOptions = {}) {
    super();
    this.#first = new nn.Linear(nEmbd, 4 * nEmbd, factory);
    this.#second = new nn.Linear(4 * nEmbd, nEmbd, factory);
    this.net = new nn.Sequential(this.#first, new nn.GELU(), this.#second, new nn.Dropout(dropout));
  }

  /** All but the dropout, in one operator. */
  fusedWithoutDropout(x: Tensor): Tensor {
    return fused.mlp(x, this.#first, this.#second);
  }

  forward(x: Tensor): Tensor {
    return this.net.forward(x);
  }
}

/**
 * One decoder block: causal self-attention and a feed-forward network, in either {@link BlockForm}; with
 * `bias: false`, none of its layers has a bias.
 */
export class Decoder extends nn.Module {
  readonly mha: CausalSelfAttention;
  readonly ffn: FeedForward;
  readonly ln1: nn.LayerNorm;
  readonly ln2: nn.LayerNorm;
  readonly dropout: nn.Dropout;
  readonly block: BlockForm;
  readonly kernels: Kernels;

  constructor(
    config: Pick<GPTConfig, "nEmbd" | "nHeads" | "dropout" | "block" | "kernels">,
    factory: nn.LinearOptions = {},
  ) {
    super();
    const { nEmbd, dropout, block, kernels } = config;
    this.mha = new CausalSelfAttention(config, factory);
    this.ffn = new FeedForward(nEmbd, dropout, factory);
    this.ln1 = new nn.LayerNorm(nEmbd, factory);
    this.ln2 = new nn.LayerNorm(nEmbd, factory);
    this.dropout = new nn.Dropout(dropout);
    this.block = block;
    this.kernels = kernels;
  }

  /** @param x - (B, T, C) @returns (B, T, C) */
  forward(x: Tensor): Tensor {
    if (this.kernels === "fused") {
      return this.block === "reference" ? this.#fusedReference(x) : this.#fusedPreNorm(x);
    }
    return this.block === "reference" ? this.#reference(x) : this.#preNorm(x);
  }

  #reference(x: Tensor): Tensor {
    const attended = this.ln1.forward(x);
    const mixed = this.ln2.forward(attended.add(this.mha.attend(attended)));
    return this.dropout.forward(mixed.add(this.ffn.forward(mixed)));
  }

  #preNorm(x: Tensor): Tensor {
    const mixed = x.add(this.dropout.forward(this.mha.attend(this.ln1.forward(x))));
    return mixed.add(this.ffn.forward(this.ln2.forward(mixed)));
  }

  #fusedReference(x: Tensor): Tensor {
    const attended = this.ln1.forward(x);
    const mixed = this.ln2.forward(attended.add(this.mha.attend(attended)));
    const dropout = { p: this.dropout.p, training: this.training };
    const fed = fused.addDropout(mixed, this.ffn.fusedWithoutDropout(mixed), dropout);
    return fused.dropout(fed, dropout);
  }

  #fusedPreNorm(x: Tensor): Tensor {
    const dropout = { p: this.dropout.p, training: this.training };
    const attended = this.mha.attend(fused.layerNorm(x, this.ln1));
    const [mixed, normed] = fused.addDropoutLayerNorm(x, attended, this.ln2, dropout);
    return fused.addDropout(mixed, this.ffn.fusedWithoutDropout(normed), dropout);
  }
}
