import { nn, type Tensor, torch } from "../../lib/index.js";
import { CausalWaveNet, type WaveNetMemory } from "./causal-wavenet.js";
import { resolveWaveGPTConfig, type WaveGPTConfig, type WaveGPTOptions } from "./config.js";
import { type History, startingHistory } from "./history.js";
import { type ForwardOptions, type Hidden, LanguageModelBase, makeDecoders } from "./model.js";
import { WaveNet } from "./wavenet.js";

/** The WaveNet's share at a causal model's start: both branches speak, and both learn. */
const CAUSAL_BETA = 0.5;

/**
 * A GPT whose hidden state mixes in what a WaveNet says of the text before: `hidden = g * alpha + h * (1 - alpha)`, g
 * the decoder over the block.
 *
 * In the mode `"previous"`, h is one summary of the up to `blockSize` tokens before the block. Where there are none,
 * for the whole batch or for a row, `hidden = g`. The trainable parameter is `beta = 1 - alpha`, as in the reference:
 * it starts at 0, where the model is a GPT, and weight decay draws it there.
 *
 * In the mode `"causal"`, h at each position summarises the text up to it, far beyond the block's start: its history
 * comes out of a forward pass and goes into the next. alpha is one number a channel, and starts at 0.5.
 */
export class WaveGPT extends LanguageModelBase {
  readonly config: WaveGPTConfig;
  readonly token_emb: nn.Embedding;
  readonly pos_emb: nn.Embedding;
  readonly decoders: nn.Sequential;
  readonly wavenet: WaveNet | CausalWaveNet;
  /** 1 - alpha: (1), and (C) in the mode `"causal"`. */
  readonly beta: nn.Parameter;
  readonly ln: nn.LayerNorm;
  readonly linear: nn.Linear;

  /** @throws WaveGPTError ERR_WAVEGPT_CONFIG naming a setting out of range */
  constructor(options: WaveGPTOptions, factory: nn.FactoryOptions = {}) {
    super();
    const config = resolveWaveGPTConfig(options);
    const { blockSize, nEmbd, nHeads, vocabSize, wavenet, kernels } = config;
    this.config = config;
    // In PyTorch's order of construction, so that one seed gives the same weights.
    this.token_emb = new nn.Embedding(vocabSize, nEmbd, factory);
    this.pos_emb = new nn.Embedding(blockSize, nEmbd, factory);
    this.decoders = makeDecoders(config, factory);
    if (wavenet.mode === "causal") {
      this.wavenet = new CausalWaveNet(nEmbd, wavenet, nHeads, kernels, factory);
      const mixed = wavenet.alpha === "learned";
      const start = torch.full([nEmbd], mixed ? CAUSAL_BETA : 0, factory);
      this.beta = new nn.Parameter(start, { requiresGrad: mixed });
    } else {
      this.wavenet = new WaveNet(blockSize, nEmbd, wavenet, kernels, factory);
      this.beta = new nn.Parameter(torch.zeros([1], factory));
    }
    this.ln = new nn.LayerNorm(nEmbd, factory);
    this.linear = new nn.Linear(nEmbd, vocabSize, factory);
  }

  /** The decoder's share in the hidden state, the channels' mean; reading it waits for the device. */
  alpha(): number {
    return torch.tidy(() => 1 - this.beta.mean().number());
  }

  override get receptiveField(): number | null {
    return this.wavenet instanceof CausalWaveNet ? this.wavenet.receptiveField : null;
  }

  override get memory(): WaveNetMemory | null {
    return this.wavenet instanceof CausalWaveNet ? this.wavenet.memory : null;
  }

  override emptyHistory(rows: number): History | null {
    if (!(this.wavenet instanceof CausalWaveNet)) return null;
    const { dtype, device } = this.beta;
    return this.wavenet.emptyHistory(rows, { dtype, device });
  }

  override readHistory(x: Tensor, history: History | null = null): History | null {
    if (!(this.wavenet instanceof CausalWaveNet)) return null;
    return this.#read(this.wavenet, x, history).history;
  }

  protected hidden(embedded: Tensor, x: Tensor, options: ForwardOptions): Hidden {
    const g = this.decoders.forward(embedded);
    if (this.wavenet instanceof CausalWaveNet) {
      const { h, history } = this.#read(this.wavenet, x, options.history ?? null);
      return { hidden: this.beta.requiresGrad ? mixChannels(g, h, this.beta) : g, history };
    }
    return { hidden: this.#withSummary(g, embedded, this.wavenet, options), history: null };
  }

  /** h over x and the history after it. Where the rows' own history is not what x starts from, it is carried still. */
  #read(wavenet: CausalWaveNet, x: Tensor, given: History | null): { h: Tensor; history: History } {
    const rows = x.shape[0]!;
    const own = given ?? this.emptyHistory(rows)!;
    wavenet.requireHistory(own, rows);
    const { wavenet: config } = this.config;
    const causal = config.mode === "causal" ? config : null;
    const read = this.training && causal ? this.#replaceSome(x, causal.noise) : x;
    const start = startingHistory(own, causal?.history ?? "carried");
    return wavenet.forward(this.token_emb.forward(read), start);
  }

  /** Tokens of which each is with probability `rate` one drawn at random (as Xie et al., 2017, noise their input). */
  #replaceSome(x: Tensor, rate: number): Tensor {
    if (rate === 0) return x;
    const { shape, device } = x;
    const others = torch.randint(0, this.config.vocabSize, shape, { dtype: "int64", device });
    return torch.where(torch.rand(shape, { device }).lt(rate), others, x);
  }

  #withSummary(g: Tensor, embedded: Tensor, wavenet: WaveNet, options: ForwardOptions): Tensor {
    if (this.config.wavenet.mode === "leaky-reference") {
      return this.#mix(g, wavenet.forward(embedded), this.beta);
    }
    const { previous = null, previousMask = null } = options;
    if (previous === null) return g;
    const h = wavenet.forward(this.embedPrevious(previous, previousMask, embedded));
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

/** @param g - (B, T, C) @param h - (B, T, C) @param beta - (C) */
function mixChannels(g: Tensor, h: Tensor, beta: Tensor): Tensor {
  return torch.lerp(g, h.to(g.dtype), beta);
}
