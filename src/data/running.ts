import { WaveGPTError } from "../../lib/errors.js";
import type { TokenArray } from "../tokenizer/index.js";
import { type Batch, BatchReader } from "./batch.js";
import { type Block, BlockLayout } from "./blocks.js";
import { asSequence, type TokenSequence } from "./token-sequence.js";

/** A batch's blocks, and for each whether it begins where the same row of the batch before ended. */
export interface RunningBlocks {
  readonly blocks: readonly Block[];
  readonly continues: readonly boolean[];
}

/**
 * Cuts the blocks of a pass over a text, in document order, into one run of neighbouring blocks for each row of the
 * batches. A row's next block follows its last in the text, so what a model kept of one holds for the next. The last
 * block of a text may reach beyond its end: filling on the right, which no counted target depends on.
 *
 * Rows' numbers of blocks differ by one at most; the shorter ones end with a block that counts no target.
 */
export class RunningRows {
  /** Batches in a pass. */
  readonly batches: number;
  readonly #count: number;

  constructor(
    private readonly layout: BlockLayout,
    private readonly rows: number,
    private readonly phase = 0,
  ) {
    this.#count = layout.count(phase);
    this.batches = Math.ceil(this.#count / rows);
  }

  /**
   * The pass's batch of this index, from 0. A negative one counts no target: it lies that many blocks before the rows'
   * first, so that what a model keeps of the text before can be made again.
   */
  batch(index: number): RunningBlocks {
    const blocks: Block[] = [];
    const continues: boolean[] = [];
    for (let row = 0; row < this.rows; row++) {
      const block = this.#block(row, index);
      blocks.push(block);
      // Where the phase cuts a text's first block short, its end overlaps the second: what is kept of it is of no use.
      const before = this.#block(row, index - 1);
      continues.push(before.start + this.layout.blockSize === block.start);
    }
    return { blocks, continues };
  }

  /** The first block of a row. */
  #first(row: number): number {
    const { rows } = this;
    return row * Math.floor(this.#count / rows) + Math.min(row, this.#count % rows);
  }

  #block(row: number, index: number): Block {
    const first = this.#first(row);
    const at = first + index;
    const { from, to } = this.layout.block(Math.min(Math.max(0, at), this.#count - 1), this.phase);
    const counts = index >= 0 && at < this.#first(row + 1);
    return { start: from, from, to: counts ? to : from };
  }
}

export interface RunningEvaluationOptions {
  /** The tokens of the part to be evaluated. Kept, not copied. */
  readonly tokens: TokenArray | TokenSequence;
  /** Rows of a batch. */
  readonly batchSize: number;
  /** Tokens of a row. */
  readonly blockSize: number;
  /** How many tokens a model's output depends on, its own position's among them: what a row reads before its part. */
  readonly reach: number;
  /** At most so many batches that count targets, each row's first ones; default null: the whole part. */
  readonly maxBatches?: number | null;
  /** Where the batches are put; default `"cpu"`. */
  readonly device?: string;
  /** As in `DataLoaderOptions`. */
  readonly documentStart?: number | null;
}

/**
 * A text in document order for a model that carries its history along, every target counted exactly once. Rows run
 * through a part of the text each. Before its part, a row reads as much of the text before it as the model's output
 * can depend on, without counting: the numbers are those of one row that reads the whole text from its beginning.
 * Where the output depends on all of it, however little, they are so but for what is older than `reach`.
 */
export class RunningEvaluationLoader {
  /** How many batches, those without counted targets among them. */
  readonly batches: number;
  /** How many targets they count together. */
  readonly targets: number;

  readonly #rows: RunningRows;
  readonly #reader: BatchReader;
  /** Batches before the first that counts. */
  readonly #warmup: number;

  /** @throws WaveGPTError ERR_WAVEGPT_DATA for a text too short for one block, or an option out of range */
  constructor(options: RunningEvaluationOptions) {
    const { batchSize, blockSize, reach, device = "cpu" } = options;
    const { documentStart = null } = options;
    const tokens = asSequence(options.tokens);
    for (const [what, value] of [
      ["the batch size", batchSize],
      ["the reach", reach],
      ["the largest number of batches", options.maxBatches ?? 1],
    ] as const) {
      if (!Number.isSafeInteger(value) || value < 1) {
        throw new WaveGPTError(
          "ERR_WAVEGPT_DATA",
          `${what} must be a positive whole number, got ${value}`,
        );
      }
    }
    const layout = new BlockLayout(tokens.length, blockSize);
    this.#reader = new BatchReader({ tokens, batchSize, blockSize, device, documentStart });
    this.#rows = new RunningRows(layout, batchSize);
    this.#warmup = batchSize > 1 ? Math.ceil((reach - 1) / blockSize) : 0;
    const counting = Math.min(this.#rows.batches, options.maxBatches ?? this.#rows.batches);
    this.batches = this.#warmup + counting;
    let targets = 0;
    for (let index = 0; index < counting; index++) {
      for (const { from, to } of this.#rows.batch(index).blocks) targets += to - from;
    }
    this.targets = targets;
  }

  /** The `index`-th batch; its tensors belong to the innermost open scope. */
  batch(index: number): Batch {
    if (!Number.isInteger(index) || index < 0 || index >= this.batches) {
      throw new WaveGPTError(
        "ERR_WAVEGPT_ARGUMENT",
        `batch ${index} does not exist: expected 0 to ${this.batches - 1}`,
      );
    }
    const { blocks, continues } = this.#rows.batch(index - this.#warmup);
    return this.#reader.read(blocks, index === 0 ? null : continues);
  }

  /** Each batch in turn, made when it is asked for. */
  *[Symbol.iterator](): Iterator<Batch> {
    for (let index = 0; index < this.batches; index++) yield this.batch(index);
  }
}
