import { nn, type Tensor, torch } from "../../lib/index.js";
import type { CausalWaveNetConfig, Kernels } from "./config.js";
import { type History, requireHistory } from "./history.js";
import { halfLifeOf, RetentionLayer, retentionDecays } from "./retention.js";

/**
 * One layer of a WaveNet (van den Oord et al., 2016, section 2.3): a causal convolution of two taps, one on each
 * position and one `dilation` before it, whose outputs are tanh and the sigmoid that gates it, and a projection that
 * is added to the layer's input. Residual and skip connections share that projection, so the sum of the skips is what
 * the last layer gives. The convolution reads the input's layer norm, which the paper does not have.
 */
export class GatedConvLayer extends nn.Module {
  readonly norm: nn.LayerNorm;
  /** Of `[x[t - dilation], x[t]]`, 2 C channels, to C of the tanh and C of the gate. */
  readonly conv: nn.Linear;
  readonly out: nn.Linear;
  readonly dilation: number;
  readonly #kernels: Kernels;

  constructor(nEmbd: number, dilation: number, kernels: Kernels, factory: nn.FactoryOptions = {}) {
    super();
    this.norm = new nn.LayerNorm(nEmbd, factory);
    this.conv = new nn.Linear(2 * nEmbd, 2 * nEmbd, factory);
    this.out = new nn.Linear(nEmbd, nEmbd, factory);
    this.dilation = dilation;
    this.#kernels = kernels;
  }

  /** The shape of what is kept of `rows` texts. */
  historyShapes(rows: number): number[][] {
    return [[rows, this.dilation, this.out.outFeatures]];
  }

  /**
   * @param normed - the norm of x, (B, T, C)
   * @param past - the norm of the `dilation` inputs before x: (B, dilation, C)
   * @returns what is added to x, (B, T, C), and the norm of the last `dilation` inputs
   */
  forward(normed: Tensor, [earlier]: History): { y: Tensor; past: History } {
    const { dilation } = this;
    const past = earlier!;
    const length = normed.shape[1]!;
    const next =
      dilation < length
        ? normed.narrow(1, length - dilation, dilation)
        : torch.cat([past.narrow(1, length, dilation - length), normed], 1);
    const y =
      this.#kernels === "fused"
        ? nn.fused.gatedConv(normed, past, this.conv, this.out)
        : this.out.forward(gatedTanh(this.conv.forward(tapsOf(normed, past))));
    return { y, past: [next.detach().to(past.dtype)] };
  }
}

/** `[x[t - dilation], x[t]]`: (B, T, 2 C). */
function tapsOf(x: Tensor, past: Tensor): Tensor {
  const [dilation, length] = [past.shape[1]!, x.shape[1]!];
  const before =
    dilation < length
      ? torch.cat([past, x.narrow(1, 0, length - dilation)], 1)
      : past.narrow(1, 0, length);
  return torch.cat([before, x], -1);
}

function gatedTanh(x: Tensor): Tensor {
  const [filter, gate] = x.chunk(2, -1) as [Tensor, Tensor];
  return filter.tanh().mul(gate.sigmoid());
}

/** The dilations of so many layers: 1, 2, 4, ... */
export function dilationsOf(layers: number): number[] {
  return Array.from({ length: layers }, (_, layer) => 2 ** layer);
}

/** How the retention layers of a WaveNet fade. */
export interface WaveNetMemory {
  readonly layers: number;
  /** After how many tokens a head's state has half the weight that it had, from the fastest head to the slowest. */
  readonly halfLives: readonly number[];
}

/**
 * h(x) at every position: gated layers whose dilations double, so that the text they look back on grows exponentially
 * with their number, and in place of the last ones retention, which fades but has no end. What both need of the text
 * before a block comes in as its {@link History}, so a block costs its own positions only.
 */
export class CausalWaveNet extends nn.Module {
  readonly layers: nn.ModuleList<GatedConvLayer | RetentionLayer>;
  /** Of what the last layer gives. */
  readonly norm: nn.LayerNorm;
  /** How many tokens the convolutions at a position depend on, its own among them. */
  readonly receptiveField: number;
  /** Null without retention: then h depends on the receptive field alone. */
  readonly memory: WaveNetMemory | null;
  readonly #kernels: Kernels;

  /** @param heads - of the retention layers; they divide the channels */
  constructor(
    nEmbd: number,
    { layers, memory }: Pick<CausalWaveNetConfig, "layers" | "memory">,
    heads: number,
    kernels: Kernels,
    factory: nn.FactoryOptions = {},
  ) {
    super();
    const dilations = dilationsOf(layers - memory);
    this.layers = new nn.ModuleList<GatedConvLayer | RetentionLayer>([
      ...dilations.map((dilation) => new GatedConvLayer(nEmbd, dilation, kernels, factory)),
      ...Array.from({ length: memory }, () => new RetentionLayer(nEmbd, heads, kernels, factory)),
    ]);
    this.norm = new nn.LayerNorm(nEmbd, factory);
    this.receptiveField = 1 + dilations.reduce((sum, dilation) => sum + dilation, 0);
    this.memory =
      memory === 0 ? null : { layers: memory, halfLives: retentionDecays(heads).map(halfLifeOf) };
    this.#kernels = kernels;
  }

  /** That of a text's first block. */
  emptyHistory(rows: number, options: { dtype?: Tensor["dtype"]; device?: string } = {}): History {
    return this.#shapes(rows).map((shape) => torch.zeros(shape, options));
  }

  /** @throws WaveGPTError ERR_WAVEGPT_ARGUMENT where it is not this network's, or not of so many rows */
  requireHistory(history: History, rows: number): void {
    requireHistory(history, this.#shapes(rows));
  }

  /** @param x - (B, T, C), T of any length @returns h, (B, T, C), and the history after x */
  forward(x: Tensor, history: History): { h: Tensor; history: History } {
    const norms = [...this.layers].map(({ norm }) => norm).concat(this.norm);
    let output = x;
    let normed = this.#normalize(x, norms[0]!);
    let read = 0;
    const next = [...this.layers].flatMap((layer, i) => {
      const own = history.slice(read, read + layer.historyShapes(1).length);
      read += own.length;
      const { y, past } = layer.forward(normed, own);
      [output, normed] = this.#addNormalize(output, y, norms[i + 1]!);
      return past;
    });
    return { h: normed, history: next };
  }

  #normalize(x: Tensor, norm: nn.LayerNorm): Tensor {
    return this.#kernels === "fused" ? nn.fused.layerNorm(x, norm) : norm.forward(x);
  }

  #addNormalize(x: Tensor, y: Tensor, norm: nn.LayerNorm): [sum: Tensor, normed: Tensor] {
    if (this.#kernels === "fused") {
      return nn.fused.addDropoutLayerNorm(x, y, norm, { p: 0, training: this.training });
    }
    const sum = x.add(y);
    return [sum, norm.forward(sum)];
  }

  #shapes(rows: number): number[][] {
    return [...this.layers].flatMap((layer) => layer.historyShapes(rows));
  }
}
