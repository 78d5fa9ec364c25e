import { WaveGPTError } from "../../lib/errors.js";
import { nn, type Tensor } from "../../lib/index.js";
import type { WaveNetMemory } from "./causal-wavenet.js";
import type { GPTConfig } from "./config.js";
import { Decoder } from "./decoder.js";
import type { History } from "./history.js";
import { exportReferenceState, loadReferenceState } from "./reference.js";

const { fused } = nn;

export interface ForwardOptions {
  /**
   * The tokens right before each row of `x`: (B, P) int64, P from 1 to the block size. Without it the
   * decoder speaks alone. A GPT takes it and leaves it unread, so that one loop drives both models.
   */
  readonly previous?: Tensor | null | undefined;
  /**
   * True where `previous` holds a token, false where it is filling: (B, P) bool. A row without any is a
   * row without previous context. Default: all true.
   */
  readonly previousMask?: Tensor | null | undefined;
  /**
   * What a causal WaveNet kept of each row's text before `x`, as an earlier pass gave it. Default: none, as at a
   * document's start. Other models take it and leave it unread.
   */
  readonly history?: History | null | undefined;
  /** The token after each of `x`: (B, T) int64; -100 is not counted. */
  readonly targets?: Tensor | null | undefined;
  /** Logits of the last position only, (B, 1, V), as generation needs them; not with `targets`. */
  readonly lastOnly?: boolean | undefined;
}

export interface ForwardResult {
  /**
   * (B, T, V), or (B, 1, V) with `lastOnly`. Where fused kernels computed a loss, which takes no logits, they are
   * computed when first read: in the scope that is open then, from a hidden state of the scope of `forward`.
   */
  readonly logits: Tensor;
  /** With targets, the mean cross-entropy over those counted, in nats; else null. */
  readonly loss: Tensor | null;
  /** What the next tokens of these rows are read with: outside autograd's graph. Null for a model that keeps none. */
  readonly history: History | null;
}

/** A {@link ForwardResult} for which targets were given. */
export interface ForwardResultWithLoss extends ForwardResult {
  readonly loss: Tensor;
}

/** A hidden state, (B, T, C), and the history after its tokens. */
export interface Hidden {
  readonly hidden: Tensor;
  readonly history: History | null;
}

/** What GPT and WaveGPT share: embeddings, decoder blocks, the last norm and the projection to logits. */
export abstract class LanguageModelBase extends nn.Module {
  abstract readonly config: GPTConfig;
  abstract readonly token_emb: nn.Embedding;
  abstract readonly pos_emb: nn.Embedding;
  abstract readonly decoders: nn.Sequential;
  abstract readonly ln: nn.LayerNorm;
  abstract readonly linear: nn.Linear;

  /** The decoder's share in the hidden state, or null for a model without a WaveNet. */
  abstract alpha(): number | null;

  /** How many tokens before and at a position a causal WaveNet's convolutions see; null for a model without one. */
  get receptiveField(): number | null {
    return null;
  }

  /** How a causal WaveNet's retention layers remember the text before; null for a model without any. */
  get memory(): WaveNetMemory | null {
    return null;
  }

  /** What `rows` rows begin a document with; null for a model that carries nothing from block to block. */
  emptyHistory(_rows: number): History | null {
    return null;
  }

  /**
   * The history after `x`, (B, T) int64, without the decoder's work; null for a model that carries nothing.
   *
   * @param history - that before `x`; default: none
   */
  readHistory(_x: Tensor, _history: History | null = null): History | null {
    return null;
  }

  /** Everything between the embedded tokens and the last norm: (B, T, C) to (B, T, C). */
  protected abstract hidden(embedded: Tensor, x: Tensor, options: ForwardOptions): Hidden;

  /**
   * @param x - tokens, (B, T) int64, T from 1 to the block size
   * @throws WaveGPTError ERR_WAVEGPT_ARGUMENT naming an argument of a shape the model does not take
   */
  forward(x: Tensor, options: ForwardOptions & { readonly targets: Tensor }): ForwardResultWithLoss;
  forward(x: Tensor, options?: ForwardOptions): ForwardResult;
  forward(x: Tensor, options: ForwardOptions = {}): ForwardResult {
    const { targets = null, lastOnly = false } = options;
    const [, length] = this.#requireTokens("x", x);
    if (targets !== null) {
      requireSameShape("targets", targets, "x", x);
      if (lastOnly) {
        throw new WaveGPTError(
          "ERR_WAVEGPT_ARGUMENT",
          "lastOnly gives logits of one position, so there is no loss over targets: leave one of the two out",
        );
      }
    }
    const { hidden: whole, history } = this.hidden(this.embed(x, 0), x, options);
    const hidden = lastOnly ? whole.narrow(1, length - 1, 1) : whole;
    if (this.config.kernels === "fused") return this.#fusedResult(hidden, targets, history);
    const logits = this.linear.forward(this.ln.forward(hidden));
    const loss =
      targets === null
        ? null
        : nn.functional.crossEntropy(logits.flatten(0, 1), targets.reshape([-1]));
    return { logits, loss, history };
  }

  #fusedResult(hidden: Tensor, targets: Tensor | null, history: History | null): ForwardResult {
    const normed = fused.layerNorm(hidden, this.ln);
    if (targets === null) return { logits: fused.linear(normed, this.linear), loss: null, history };
    const { linear } = this;
    let logits: Tensor | null = null;
    return {
      get logits() {
        logits ??= fused.linear(normed, linear);
        return logits;
      },
      loss: fused.linearCrossEntropy(normed, linear, targets),
      history,
    };
  }

  /**
   * Takes over weights by the reference's own names, its masks left aside.
   *
   * @throws WaveGPTError ERR_WAVEGPT_STATE_DICT listing every key that is missing, not expected or misshapen
   */
  loadReferenceStateDict(stateDict: nn.StateDict): void {
    loadReferenceState(this, this.config, stateDict);
  }

  /** The weights by the reference's own names, with the attention masks that it keeps among them. */
  referenceStateDict(): nn.StateDict {
    return exportReferenceState(this, this.config);
  }

  /** Tokens and their positions, of which the first is `position`: (B, L) to (B, L, C). */
  protected embed(tokens: Tensor, position: number): Tensor {
    if (this.config.kernels === "fused") {
      const { token_emb, pos_emb } = this;
      return fused.tokenPositionEmbedding(tokens, token_emb.weight, pos_emb.weight, position);
    }
    const positions = this.pos_emb.weight.narrow(0, position, tokens.shape[1]!);
    return this.token_emb.forward(tokens).add(positions);
  }

  /** The embedded tokens before the block, zero where there is none; the last always has the last position. */
  protected embedPrevious(previous: Tensor, mask: Tensor | null, x: Tensor): Tensor {
    const [rows, length] = this.#requireTokens("previous", previous);
    if (rows !== x.shape[0]) {
      throw new WaveGPTError(
        "ERR_WAVEGPT_ARGUMENT",
        `previous must have as many rows as x, ${x.shape[0]}, got ${rows}`,
        { argument: "previous" },
      );
    }
    const embedded = this.embed(previous, this.config.blockSize - length);
    if (mask === null) return embedded;
    requireSameShape("previousMask", mask, "previous", previous);
    return embedded.mul(mask.unsqueeze(-1));
  }

  #requireTokens(name: string, tokens: Tensor): [rows: number, length: number] {
    const { shape } = tokens;
    const [rows, length] = shape;
    const { blockSize } = this.config;
    if (shape.length !== 2 || rows! < 1 || length! < 1 || length! > blockSize) {
      throw new WaveGPTError(
        "ERR_WAVEGPT_ARGUMENT",
        `${name} must be tokens of shape (B, T) with T from 1 to the block size, ${blockSize}, got [${shape.join(", ")}]`,
        { argument: name },
      );
    }
    return [rows!, length!];
  }
}

/** The decoder blocks of a model. */
export function makeDecoders(config: GPTConfig, factory: nn.FactoryOptions): nn.Sequential {
  return new nn.Sequential(
    ...Array.from({ length: config.nLayers }, () => new Decoder(config, factory)),
  );
}

function requireSameShape(name: string, got: Tensor, likeName: string, like: Tensor): void {
  if (got.shape.join() !== like.shape.join()) {
    throw new WaveGPTError(
      "ERR_WAVEGPT_ARGUMENT",
      `${name} must have the shape of ${likeName}, [${like.shape.join(", ")}], got [${got.shape.join(", ")}]`,
      { argument: name },
    );
  }
}
