import { nn, type Tensor } from "../../lib/index.js";
import { type GPTConfig, type GPTOptions, resolveGPTConfig } from "./config.js";
import { Decoder } from "./decoder.js";
import { type Hidden, LanguageModelBase } from "./model.js";

const { init } = nn;

/** The deviation of GPT-2's initial weights (Radford et al., 2019). */
const DEVIATION = 0.02;

/**
 * GPT as nanoGPT (https://github.com/karpathy/nanoGPT) has it, to be compared with: no biases, the
 * embedding's weights in the projection to logits as well, GPT-2's initial weights (normal, deviation
 * 0.02, and 0.02 / sqrt(2 * nLayers) in what writes to the residual path), and dropout of the embedded
 * tokens too. Its blocks are pre-norm.
 */
export class NanoGPT extends LanguageModelBase {
  readonly config: GPTConfig;
  readonly token_emb: nn.Embedding;
  readonly pos_emb: nn.Embedding;
  readonly dropout: nn.Dropout;
  readonly decoders: nn.Sequential;
  readonly ln: nn.LayerNorm;
  /** Its weight is the embedding's: one parameter under two names. */
  readonly linear: nn.Linear;

  /** @throws WaveGPTError ERR_WAVEGPT_CONFIG naming a setting out of range */
  constructor(options: GPTOptions, factory: nn.FactoryOptions = {}) {
    super();
    const config = { ...resolveGPTConfig(options), block: "pre-norm" } as const;
    const { nEmbd, nLayers, vocabSize, blockSize, dropout } = config;
    this.config = config;
    this.token_emb = new nn.Embedding(vocabSize, nEmbd, factory);
    this.pos_emb = new nn.Embedding(blockSize, nEmbd, factory);
    this.dropout = new nn.Dropout(dropout);
    this.decoders = new nn.Sequential(
      ...Array.from({ length: nLayers }, () => new Decoder(config, { ...factory, bias: false })),
    );
    this.ln = new nn.LayerNorm(nEmbd, { ...factory, bias: false });
    const linear = new nn.Linear(nEmbd, vocabSize, { ...factory, bias: false });
    linear.weight.dispose();
    this.linear = Object.assign(linear, { weight: this.token_emb.weight });
    this.#resetParameters();
  }

  #resetParameters(): void {
    const written = DEVIATION / Math.sqrt(2 * this.config.nLayers);
    for (const [name, parameter] of this.namedParameters()) {
      if (parameter.shape.length < 2) continue;
      // What a block adds to the residual path: attention's output and the second linear layer's.
      const writes = /\.(out_proj|net\.2)\.weight$/.test(name);
      init.normal_(parameter, { std: writes ? written : DEVIATION });
    }
  }

  /** A GPT has no WaveNet. */
  alpha(): null {
    return null;
  }

  protected hidden(embedded: Tensor): Hidden {
    return { hidden: this.decoders.forward(this.dropout.forward(embedded)), history: null };
  }
}
