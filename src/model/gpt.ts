import { nn, type Tensor } from "../../lib/index.js";
import { type GPTConfig, type GPTOptions, resolveGPTConfig } from "./config.js";
import { type Hidden, LanguageModelBase, makeDecoders } from "./model.js";

/** The decoder alone, the baseline that WaveGPT is compared with. */
export class GPT extends LanguageModelBase {
  readonly config: GPTConfig;
  readonly token_emb: nn.Embedding;
  readonly pos_emb: nn.Embedding;
  readonly decoders: nn.Sequential;
  readonly ln: nn.LayerNorm;
  readonly linear: nn.Linear;

  /** @throws WaveGPTError ERR_WAVEGPT_CONFIG naming a setting out of range */
  constructor(options: GPTOptions, factory: nn.FactoryOptions = {}) {
    super();
    const config = resolveGPTConfig(options);
    this.config = config;
    // In PyTorch's order of construction, so that one seed gives the same weights.
    this.token_emb = new nn.Embedding(config.vocabSize, config.nEmbd, factory);
    this.pos_emb = new nn.Embedding(config.blockSize, config.nEmbd, factory);
    this.decoders = makeDecoders(config, factory);
    this.ln = new nn.LayerNorm(config.nEmbd, factory);
    this.linear = new nn.Linear(config.nEmbd, config.vocabSize, factory);
  }

  /** A GPT has no WaveNet. */
  alpha(): null {
    return null;
  }

  protected hidden(embedded: Tensor): Hidden {
    return { hidden: this.decoders.forward(embedded), history: null };
  }
}
