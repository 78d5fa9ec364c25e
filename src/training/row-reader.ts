import { type Tensor, torch } from "../../lib/index.js";
import type { ForwardResult, LanguageModel } from "../model/index.js";
import { CarriedHistory } from "./carried-history.js";

/**
 * Has a model read rows of text block after block, and hands it what it takes of the text before: its own
 * history, or the tokens of the block before. Owns what it keeps; dispose of it.
 */
export class RowReader implements Disposable {
  readonly #history: CarriedHistory;
  #previous: Tensor | null = null;

  constructor(private readonly model: LanguageModel) {
    this.#history = new CarriedHistory(model);
  }

  /**
   * @param x the rows' next tokens, (B, T) int64, of the innermost scope, which it leaves
   * @param targets (B, T) int64, or null for logits alone
   */
  forward(x: Tensor, targets: Tensor | null = null): ForwardResult {
    const rows = x.shape[0]!;
    const continues = this.#previous === null ? null : Array.from({ length: rows }, () => true);
    const history = this.#history.before({ rows, continues });
    const context = { previous: this.#previous, history };
    const result =
      targets === null
        ? this.model.forward(x, context)
        : this.model.forward(x, { ...context, targets });
    this.#history.after(result.history);
    this.#previous?.dispose();
    this.#previous = torch.keep(x);
    return result;
  }

  [Symbol.dispose](): void {
    this.#previous?.dispose();
    this.#previous = null;
    this.#history.dispose();
  }
}
