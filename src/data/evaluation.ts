import { WaveGPTError } from "../../lib/errors.js";
import type { TokenArray } from "../tokenizer/index.js";
import { type Batch, BatchReader } from "./batch.js";
import { BlockLayout } from "./blocks.js";
import { Random } from "./random.js";
import { asSequence, type TokenSequence } from "./token-sequence.js";

export interface EvaluationLoaderOptions {
  /** The tokens of the part to be evaluated. Kept, not copied. */
  readonly tokens: TokenArray | TokenSequence;
  /** Rows of a batch; the last may have fewer. */
  readonly batchSize: number;
  /** Tokens of a row. */
  readonly blockSize: number;
  /** At most this many blocks, a sample that the seed fixes; default null: the whole part. */
  readonly maxBlocks?: number | null;
  /** Which sample; default 0. */
  readonly seed?: number;
  /** Where the batches are put; default `"cpu"`. */
  readonly device?: string;
  /** As in `DataLoaderOptions`. */
  readonly documentStart?: number | null;
}

/**
 * The same batches every time, in document order: the whole of a text, every target counted exactly
 * once, or a fixed sample of its blocks. The mean loss is `sum(loss * batch.targets) / loader.targets`.
 */
export class EvaluationLoader implements Iterable<Batch> {
  /** How many batches. */
  readonly batches: number;
  /** How many targets they count together. */
  readonly targets: number;

  readonly #layout: BlockLayout;
  readonly #reader: BatchReader;
  readonly #blocks: Uint32Array;

  /** @throws WaveGPTError ERR_WAVEGPT_DATA for a text too short for one block, or an option out of range */
  constructor(options: EvaluationLoaderOptions) {
    const { batchSize, blockSize, maxBlocks = null, seed = 0, device = "cpu" } = options;
    const { documentStart = null } = options;
    const tokens = asSequence(options.tokens);
    for (const [what, value] of [
      ["the batch size", batchSize],
      ["the largest number of blocks", maxBlocks ?? 1],
    ] as const) {
      if (!Number.isSafeInteger(value) || value < 1) {
        throw new WaveGPTError(
          "ERR_WAVEGPT_DATA",
          `${what} must be a positive whole number, got ${value}`,
        );
      }
    }
    this.#layout = new BlockLayout(tokens.length, blockSize);
    this.#reader = new BatchReader({ tokens, batchSize, blockSize, device, documentStart });
    const count = this.#layout.count();
    this.#blocks =
      maxBlocks === null || maxBlocks >= count
        ? Uint32Array.from({ length: count }, (_, index) => index)
        : new Random(seed).permutation(count).subarray(0, maxBlocks).sort();
    this.batches = Math.ceil(this.#blocks.length / batchSize);
    this.targets = this.#blocks.reduce((sum, index) => {
      const { from, to } = this.#layout.block(index);
      return sum + to - from;
    }, 0);
  }

  /** The `index`-th batch; its tensors belong to the innermost open scope. */
  batch(index: number): Batch {
    if (!Number.isInteger(index) || index < 0 || index >= this.batches) {
      throw new WaveGPTError(
        "ERR_WAVEGPT_ARGUMENT",
        `batch ${index} does not exist: expected 0 to ${this.batches - 1}`,
      );
    }
    const { batchSize } = this.#reader;
    const indices = this.#blocks.subarray(index * batchSize, (index + 1) * batchSize);
    return this.#reader.read(Array.from(indices, (block) => this.#layout.block(block)));
  }

  /** Each batch in turn, made when it is asked for. */
  *[Symbol.iterator](): Iterator<Batch> {
    for (let index = 0; index < this.batches; index++) yield this.batch(index);
  }
}
