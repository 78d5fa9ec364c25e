import { nn, type Tensor } from "../../lib/index.js";
import type { Kernels, MergingWaveNetConfig } from "./config.js";

/** Merges `factor` neighbouring positions into one: layer norm, linear and ReLU over their joined channels. */
export class WaveNetLayer extends nn.Module {
  readonly layernorm: nn.LayerNorm;
  readonly linear: nn.Linear;
  readonly factor: number;
  readonly #kernels: Kernels;

  constructor(nEmbd: number, factor: number, kernels: Kernels, factory: nn.FactoryOptions = {}) {
    super();
    this.#kernels = kernels;
    this.layernorm = new nn.LayerNorm(nEmbd * factor, factory);
    this.linear = new nn.Linear(nEmbd * factor, nEmbd, factory);
    this.factor = factor;
  }

  /** @param x - (B, L, C), L divisible by the factor @returns (B, L / factor, C) */
  forward(x: Tensor): Tensor {
    if (this.#kernels === "fused") {
      return nn.fused.waveLayer(x, this.factor, this.layernorm, this.linear);
    }
    const [b, l, c] = x.shape as [number, number, number];
    const joined = x.reshape([b, l / this.factor, c * this.factor]);
    return this.linear.forward(this.layernorm.forward(joined)).relu();
  }
}

/**
 * Summarises up to a block of embedded tokens in one position: `layers` layers that each merge
 * `reshapeFactor` positions, and one more that merges what they leave, if they leave more than one.
 *
 * Its window is the smallest multiple of `reshapeFactor ** layers` that holds a block. Shorter inputs are
 * right-aligned in it, behind positions of zeros, so that the same distance from the end always meets
 * the same weights.
 */
export class WaveNet extends nn.Module {
  readonly wavenet: nn.Sequential;
  /** Merges what `wavenet` leaves; null where that is one position. */
  readonly output_linear: WaveNetLayer | null;
  /** Positions the network takes in. */
  readonly window: number;

  constructor(
    blockSize: number,
    nEmbd: number,
    { layers, reshapeFactor }: Pick<MergingWaveNetConfig, "layers" | "reshapeFactor">,
    kernels: Kernels,
    factory: nn.FactoryOptions = {},
  ) {
    super();
    this.wavenet = new nn.Sequential(
      ...Array.from(
        { length: layers },
        () => new WaveNetLayer(nEmbd, reshapeFactor, kernels, factory),
      ),
    );
    const merged = reshapeFactor ** layers;
    const left = Math.ceil(blockSize / merged);
    this.output_linear = left > 1 ? new WaveNetLayer(nEmbd, left, kernels, factory) : null;
    this.window = left * merged;
  }

  /** @param x - (B, L, C), L at most the block size @returns (B, 1, C) */
  forward(x: Tensor): Tensor {
    const missing = this.window - x.shape[1]!;
    const whole = missing > 0 ? nn.functional.pad(x, [0, 0, missing, 0]) : x;
    const merged = this.wavenet.forward(whole);
    return this.output_linear === null ? merged : this.output_linear.forward(merged);
  }
}
