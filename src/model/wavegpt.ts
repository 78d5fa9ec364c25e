import { nn, type Tensor, torch } from "../../lib/index.js";
import { resolveWaveGPTConfig, type WaveGPTConfig, type WaveGPTOptions } from "./config.js";
import { type ForwardOptions, LanguageModelBase, makeDecoders } from "./model.js";
import { WaveNet } from "./wavenet.js";

/**
 * A GPT whose hidden state mixes in a summary of the tokens before the block:
 * `hidden = g * alpha + h * (1 - alpha)`, g the decoder over the block, h the WaveNet over the up to
 * `blockSize` tokens before it. Where there are none, for the whole batch or for a row, `hidden = g`.
 *
 * The trainable parameter is `beta = 1 - alpha`, as in the reference: it starts at 0, where the model is
 * a GPT, and weight decay draws it there.
 */
export class WaveGPT extends LanguageModelBase {
  readonly config: WaveGPTConfig;
  readonly token_emb: nn.Embedding;
  readonly pos_emb: nn.Embedding;
  readonly decoders: nn.Sequential;
  readonly wavenet: WaveNet;
  /** 1 - alpha: (1). */
  readonly beta: nn.Parameter;
  readonly ln: nn.LayerNorm;
  readonly linear: nn.Linear;

  /** @throws WaveGPTError ERR_WAVEGPT_CONFIG naming a setting out of range */
  constructor(options: WaveGPTOptions, factory: nn.FactoryOptions = {}) {
    super();
    const config = resolveWaveGPTConfig(options);
    this.config = config;
    // In PyTorch's order of construction, so that one seed gives the same weights.
    this.token_emb = new nn.Embedding(config.vocabSize, config.nEmbd, factory);
    this.pos_emb = new nn.Embedding(config.blockSize, config.nEmbd, factory);
    this.decoders = makeDecoders(config, factory);
    this.wavenet = new WaveNet(
      config.blockSize,
      config.nEmbd,
      config.wavenet,
      config.kernels,
      factory,
    );
    this.beta = new nn.Parameter(torch.zeros([1], factory));
    this.ln = new nn.LayerNorm(config.nEmbd, factory);
    this.linear = new nn.Linear(config.nEmbd, config.vocabSize, factory);
  }

  /** The decoder's share in the hidden state; reading it waits for the device. */
  alpha(): number {
    return 1 - this.beta.number();
  }

  protected hidden(embedded: Tensor, options: ForwardOptions): Tensor {
    const g = this.decoders.forward(embedded);
    if (this.config.wavenet.mode === "leaky-reference") {
      return this.#mix(g, this.wavenet.forward(embedded), this.beta);
    }
    const { previous = null, previousMask = null } = options;
    if (previous === null) return g;
    const h = this.wavenet.forward(this.embedPrevious(previous, previousMask, embedded));
    if (previousMask === null) return this.#mix(g, h, this.beta);
    const present = previousMask.any({ dim: 1, keepdim: true }).unsqueeze(-1);
    return this.#mix(g, h, this.beta.mul(present));
  }

  /** @param g - (B, T, C) @param h - (B, 1, C) @param beta - (1) or (B, 1, 1) */
  #mix(g: Tensor, h: Tensor, beta: Tensor): Tensor {
    if (this.config.kernels === "fused") return nn.fused.mix(g, h, beta);
    return g.mul(torch.rsub(beta, 1)).add(h.mul(beta));
  }
}
