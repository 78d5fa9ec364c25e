import { nn, type Tensor, torch } from "../../lib/index.js";
import type { CausalWaveNetConfig, Kernels } from "./config.js";
import { type History, requireHistory } from "./history.js";

/**
 * One layer of a WaveNet (van den Oord et al., 2016, section 2.3): a causal convolution of two taps, one on each
 * position and one `dilation` before it, whose channels are tanh and sigmoid of each other's gate, and a projection
 * that is added to the layer's input and, beside it, to the network's output.
 */
export class GatedConvLayer extends nn.Module {
  /** Of `[x[t - dilation], x[t]]`, 2 C channels, to C of the tanh and C of the gate. */
  readonly conv: nn.Linear;
  readonly out: nn.Linear;
  readonly dilation: number;
  readonly #kernels: Kernels;

  constructor(nEmbd: number, dilation: number, kernels: Kernels, factory: nn.FactoryOptions = {}) {
    super();
    this.conv = new nn.Linear(2 * nEmbd, 2 * nEmbd, factory);
    this.out = new nn.Linear(nEmbd, nEmbd, factory);
    this.dilation = dilation;
    this.#kernels = kernels;
  }

  /**
   * @param x - (B, T, C)
   * @param past - the `dilation` inputs before x: (B, dilation, C)
   * @returns what is to be added to x and to the output, (B, T, C), and the last `dilation` inputs
   */
  forward(x: Tensor, past: Tensor): { y: Tensor; past: Tensor } {
    const { dilation } = this;
    const length = x.shape[1]!;
    const before =
      dilation < length
        ? torch.cat([past, x.narrow(1, 0, length - dilation)], 1)
        : past.narrow(1, 0, length);
    const next =
      dilation < length
        ? x.narrow(1, length - dilation, dilation)
        : torch.cat([past.narrow(1, length, dilation - length), x], 1);
    const project = (input: Tensor, layer: nn.Linear) =>
      this.#kernels === "fused" ? nn.fused.linear(input, layer) : layer.forward(input);
    const [filter, gate] = project(torch.cat([before, x], -1), this.conv).chunk(2, -1);
    return {
      y: project(filter!.tanh().mul(gate!.sigmoid()), this.out),
      past: next.detach(),
    };
  }
}

/** The dilations of so many layers: 1, 2, 4, ... */
export function dilationsOf(layers: number): number[] {
  return Array.from({ length: layers }, (_, layer) => 2 ** layer);
}

/**
 * h(x) at every position: layers whose dilations double, so that the text they look back on grows exponentially with
 * their number. The part of it that lies before a block comes in as its {@link History}, so a block costs its own
 * positions only.
 */
export class CausalWaveNet extends nn.Module {
  readonly layers: nn.ModuleList<GatedConvLayer>;
  /** How many tokens h at a position depends on, its own among them. */
  readonly receptiveField: number;
  readonly #nEmbd: number;

  constructor(
    nEmbd: number,
    { layers }: Pick<CausalWaveNetConfig, "layers">,
    kernels: Kernels,
    factory: nn.FactoryOptions = {},
  ) {
    super();
    const dilations = dilationsOf(layers);
    this.layers = new nn.ModuleList(
      dilations.map((dilation) => new GatedConvLayer(nEmbd, dilation, kernels, factory)),
    );
    this.receptiveField = 1 + dilations.reduce((sum, dilation) => sum + dilation, 0);
    this.#nEmbd = nEmbd;
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
    let input = x;
    let h: Tensor | null = null;
    const next: Tensor[] = [];
    for (const layer of this.layers) {
      const { y, past } = layer.forward(input, history[next.length]!);
      next.push(past);
      input = input.add(y);
      h = h === null ? y : h.add(y);
    }
    return { h: h!, history: next };
  }

  #shapes(rows: number): number[][] {
    return [...this.layers].map(({ dilation }) => [rows, dilation, this.#nEmbd]);
  }
}
