import { WaveGPTError } from "../../lib/errors.js";
import { type Tensor, torch } from "../../lib/index.js";
import type { Batch } from "../data/index.js";
import { emptied, type History } from "../model/history.js";
import type { LanguageModel } from "../model/index.js";

/**
 * What a model keeps of each row's text from batch to batch. For a model that keeps nothing, nothing. Owns its
 * tensors; dispose of it.
 */
export class CarriedHistory {
  #own: History | null = null;

  constructor(private readonly model: LanguageModel) {}

  /** What the batch's rows begin with: their own history where they continue, else none. Of the innermost scope. */
  before({ rows, continues = null }: Pick<Batch, "rows" | "continues">): History | null {
    if (this.#own === null || continues === null) return this.model.emptyHistory(rows);
    return emptied(this.#own, continues);
  }

  /** Keeps what the batch's rows end with. */
  after(history: History | null): void {
    const before = this.#own;
    this.#own = history?.map((layer) => torch.keep(layer)) ?? null;
    for (const layer of before ?? []) if (!this.#own?.includes(layer)) layer.dispose();
  }

  /** The tensors by name, as a checkpoint keeps them; empty where nothing is carried. */
  tensors(): Record<string, Tensor> {
    return Object.fromEntries((this.#own ?? []).map((layer, i) => [`${i}`, layer.contiguous()]));
  }

  /**
   * Goes on with what {@link tensors} gave.
   *
   * @throws WaveGPTError ERR_WAVEGPT_CHECKPOINT where it is no history of this model
   */
  load(tensors: Readonly<Record<string, Tensor>>): void {
    const { length } = Object.keys(tensors);
    const layers = Array.from({ length }, (_, i) => tensors[`${i}`]);
    const expected = length === 0 ? [] : this.model.emptyHistory(layers[0]?.shape[0] ?? 0);
    const fits = layers.every((layer, i) => layer?.shape.join() === expected?.[i]?.shape.join());
    if (!fits || length !== (expected?.length ?? 0)) {
      throw new WaveGPTError(
        "ERR_WAVEGPT_CHECKPOINT",
        "history.safetensors does not hold the history of this model.",
      );
    }
    const { device } = this.model.parameters()[0]!;
    this.after(length === 0 ? null : layers.map((layer) => layer!.to(device)));
  }

  dispose(): void {
    this.after(null);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
