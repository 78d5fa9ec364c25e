import { nn, type Tensor } from "../../lib/index.js";
import { CausalSelfAttention } from "./attention.js";
import type { BlockForm, GPTConfig } from "./config.js";

/** Two linear layers with a GELU between them, four times as wide inside, and dropout. */
export class FeedForward extends nn.Module {
  readonly net: nn.Sequential;

  constructor(nEmbd: number, dropout: number, factory: nn.FactoryOptions = {}) {
    super();
    this.net = new nn.Sequential(
      new nn.Linear(nEmbd, 4 * nEmbd, factory),
      new nn.GELU(),
      new nn.Linear(4 * nEmbd, nEmbd, factory),
      new nn.Dropout(dropout),
    );
  }

  forward(x: Tensor): Tensor {
    return this.net.forward(x);
  }
}

/** One decoder block: causal self-attention and a feed-forward network, in either {@link BlockForm}. */
export class Decoder extends nn.Module {
  readonly mha: CausalSelfAttention;
  readonly ffn: FeedForward;
  readonly ln1: nn.LayerNorm;
  readonly ln2: nn.LayerNorm;
  readonly dropout: nn.Dropout;
  readonly block: BlockForm;

  constructor(
    config: Pick<GPTConfig, "nEmbd" | "nHeads" | "dropout" | "block">,
    factory: nn.FactoryOptions = {},
  ) {
    super();
    const { nEmbd, nHeads, dropout, block } = config;
    this.mha = new CausalSelfAttention(nEmbd, nHeads, dropout, factory);
    this.ffn = new FeedForward(nEmbd, dropout, factory);
    this.ln1 = new nn.LayerNorm(nEmbd, factory);
    this.ln2 = new nn.LayerNorm(nEmbd, factory);
    this.dropout = new nn.Dropout(dropout);
    this.block = block;
  }

  /** @param x - (B, T, C) @returns (B, T, C) */
  forward(x: Tensor): Tensor {
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
}
