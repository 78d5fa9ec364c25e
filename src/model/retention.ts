import { nn, type Tensor, torch } from "../../lib/index.js";
import type { Kernels } from "./config.js";
import type { History } from "./history.js";

/** Positions of a text that are computed at once; longer ones go from chunk to chunk by the state. */
export const RETENTION_CHUNK = 256;

/** The first head's decay is 1 - 2^-5, the last one's 1 - 2^-11; the exponents of those between are evenly spaced. */
const FASTEST = 5;
const SLOWEST = 11;

/** The share of the token before at a model's start. */
const SHIFT = 0.25;

/** What each head multiplies its state by from one token to the next. */
export function retentionDecays(heads: number): number[] {
  const exponent = (head: number) =>
    heads === 1 ? (FASTEST + SLOWEST) / 2 : FASTEST + ((SLOWEST - FASTEST) * head) / (heads - 1);
  return Array.from({ length: heads }, (_, head) => 1 - 2 ** -exponent(head));
}

/** After how many tokens what a head keeps of one has half its weight. */
export function halfLifeOf(decay: number): number {
  return Math.log(0.5) / Math.log(decay);
}

/**
 * Retention (Sun et al., 2023, section 2): attention without softmax whose weights fade with distance, so that all of
 * the text before a block comes to one matrix a head. With queries q, keys k and values v of a head's d channels,
 *
 *     state[t] = decay * state[t - 1] + k[t]^T v[t] / sqrt(d)
 *     o[t]     = q[t] state[t]
 *
 * which for many positions at once is two products of matrices. o is normed a head, gated by the SiLU of a projection
 * of its own, projected, and added to the layer's input. As in the paper, but without its rotation by position; instead,
 * each position is given a share of the one before it, of each channel its own: RWKV's token shift (Peng et al., 2023).
 */
export class RetentionLayer extends nn.Module {
  /** Of the layer's input. */
  readonly norm: nn.LayerNorm;
  /** The share of the token before, (C). */
  readonly shift: nn.Parameter;
  /** To queries, keys, values and gates, beside each other: 4 C channels. */
  readonly qkvg: nn.Linear;
  readonly out: nn.Linear;
  readonly heads: number;
  readonly #kernels: Kernels;

  constructor(nEmbd: number, heads: number, kernels: Kernels, factory: nn.FactoryOptions = {}) {
    super();
    this.norm = new nn.LayerNorm(nEmbd, factory);
    this.shift = new nn.Parameter(torch.full([nEmbd], SHIFT, factory));
    this.qkvg = new nn.Linear(nEmbd, 4 * nEmbd, factory);
    this.out = new nn.Linear(nEmbd, nEmbd, factory);
    this.heads = heads;
    this.#kernels = kernels;
  }

  /** The shapes of what is kept of `rows` texts: the states, and the norm of the last token's input. */
  historyShapes(rows: number): number[][] {
    const width = this.qkvg.inFeatures / this.heads;
    return [
      [rows, this.heads, width, width],
      [rows, 1, this.qkvg.inFeatures],
    ];
  }

  /**
   * @param normed - the norm of x, (B, T, C)
   * @param past - the state after the token before x, (B, heads, d, d), and the norm of its input, (B, 1, C)
   * @returns what is added to x, (B, T, C), and the same after x's last token, outside autograd's graph
   */
  forward(normed: Tensor, [state, before]: History): { y: Tensor; past: History } {
    const length = normed.shape[1]!;
    const past = (next: Tensor) => [
      next.detach(),
      normed
        .narrow(1, length - 1, 1)
        .detach()
        .to(before!.dtype),
    ];
    if (this.#kernels === "composed") {
      const qkvg = this.qkvg.forward(tokenShift(normed, before!, this.shift));
      const { out, state: next } = retention(qkvg, state!, this.heads);
      return { y: this.out.forward(out), past: past(next) };
    }
    const qkvg = nn.fused.linear(nn.fused.tokenShift(normed, before!, this.shift), this.qkvg);
    // More than a chunk is rare, and differentiated through the states within it.
    const { out, state: next } =
      length <= RETENTION_CHUNK
        ? nn.fused.retention(qkvg, state!, retentionDecays(this.heads))
        : retention(qkvg, state!, this.heads);
    return { y: nn.fused.linear(out, this.out), past: past(next) };
  }
}

/** @param x - (B, T, C) @param past - what is before the first position, (B, 1, C) @param share - (C) */
function tokenShift(x: Tensor, past: Tensor, share: Tensor): Tensor {
  const before = torch.cat([past.to(x.dtype), x.narrow(1, 0, x.shape[1]! - 1)], 1);
  return torch.lerp(x, before, share.to(x.dtype));
}

/**
 * The retention of projected positions, computed in the state's type whatever autocast says: a state that is rounded
 * at every block would forget what it has kept for long.
 *
 * @param qkvg - queries, keys, values and gates, (B, T, 4 C) @param state - (B, heads, d, d)
 * @returns gated and normed, (B, T, C) in the type of `qkvg`, and the state after it
 */
export function retention(
  qkvg: Tensor,
  state: Tensor,
  heads: number,
): { out: Tensor; state: Tensor } {
  const { dtype } = qkvg;
  return torch.autocast({ deviceType: qkvg.device.split(":")[0]!, enabled: false }, () => {
    const length = qkvg.shape[1]!;
    const parts = qkvg.to(state.dtype);
    const chunks: Tensor[] = [];
    let after = state;
    for (let at = 0; at < length; at += RETENTION_CHUNK) {
      const chunk = parts.narrow(1, at, Math.min(RETENTION_CHUNK, length - at));
      const result = retentionOfChunk(chunk, after, heads);
      chunks.push(result.out);
      after = result.state;
    }
    const out = chunks.length === 1 ? chunks[0]! : torch.cat(chunks, 1);
    return { out: out.to(dtype), state: after };
  });
}

/** decay^i k[i] and decay^-i q[i] instead of a matrix of decays: their products are the same, and need no other. */
function retentionOfChunk(
  qkvg: Tensor,
  state: Tensor,
  heads: number,
): { out: Tensor; state: Tensor } {
  const [rows, length, channels4] = qkvg.shape as [number, number, number];
  const channels = channels4 / 4;
  const width = channels / heads;
  const decays = retentionDecays(heads);
  const options = { dtype: state.dtype, device: state.device };
  // (1, heads, T, 1): from before the chunk to each position, and the other way with the keys' scale.
  const powers = (of: (decay: number, position: number) => number) =>
    torch.tensor(
      decays.map((decay) => Array.from({ length }, (_, t) => [of(decay, t + 1)])),
      options,
    );
  const [q, k, v] = qkvg
    .narrow(2, 0, 3 * channels)
    .reshape([rows, length, 3, heads, width])
    .permute([2, 0, 3, 1, 4])
    .unbind(0) as [Tensor, Tensor, Tensor];
  const queries = q.mul(powers((decay, t) => decay ** t));
  const keys = k.mul(powers((decay, t) => decay ** -t / Math.sqrt(width)));
  const weights = queries.matmul(keys.transpose(-2, -1)).tril();
  const o = weights.matmul(v).add(queries.matmul(state));
  const after = state
    .add(keys.transpose(-2, -1).matmul(v))
    .mul(torch.tensor(decays, options).pow(length).view(heads, 1, 1));
  const normed = nn.functional
    .layerNorm(o, [width])
    .transpose(1, 2)
    .reshape([rows, length, channels]);
  const gate = nn.functional.silu(qkvg.narrow(2, 3 * channels, channels));
  return { out: normed.mul(gate), state: after };
}
