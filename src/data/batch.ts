import { type Tensor, TokenReader, torch } from "../../lib/index.js";
import type { Block } from "./blocks.js";
import { tokenPiece } from "./mapped.js";
import type { TokenSequence } from "./token-sequence.js";

/** The target that a loss does not count (PyTorch's `ignore_index`). */
export const IGNORED_TARGET = -100;

/** A batch of B blocks of T tokens. The tensors belong to the scope in which the batch was made. */
export interface Batch {
  /** The blocks: (B, T), int64. */
  readonly x: Tensor;
  /** The T tokens before each block, right-aligned, 0 where there is none: (B, T), int64. */
  readonly previous: Tensor;
  /** True where `previous` holds a token: (B, T), bool. Null where it is true everywhere. */
  readonly previousMask: Tensor | null;
  /** The token after each of `x`, or -100 where this batch does not count it: (B, T), int64. */
  readonly y: Tensor;
  readonly rows: number;
  /**
   * Whether a row begins with the token after the last of the same row of the batch before, so that what was kept of
   * the text until there holds for it too. Null, or left out, where no row does.
   */
  readonly continues?: readonly boolean[] | null;
  /** How many targets are counted: the weight of this batch's mean loss in a mean over batches. */
  readonly targets: number;
  /** How many of them each row has; left out where all have the same number. */
  readonly rowTargets?: readonly number[];
}

export interface BatchOptions {
  readonly tokens: TokenSequence;
  /** The most rows of a batch. */
  readonly batchSize: number;
  readonly blockSize: number;
  readonly device: string;
  /** The token that documents begin with, where `previous` is to hold the block's own document alone; else null. */
  readonly documentStart: number | null;
}

/** The blocks of a batch. */
export interface BatchBlocks {
  readonly blocks: readonly Block[];
  /** See {@link Batch.continues}. */
  readonly continues: readonly boolean[] | null;
}

/** Makes batches of a text's blocks. Owns a native reader; dispose of it. */
export class BatchReader implements Disposable {
  readonly batchSize: number;
  /** Whether the tokens lie in files, whose pages may have to come from a disk. */
  readonly mapped: boolean;
  readonly #reader: TokenReader;
  #rows: Float64Array;

  constructor({ tokens, batchSize, blockSize, device, documentStart }: BatchOptions) {
    this.batchSize = batchSize;
    using _ = torch.scope();
    const pieces = tokens.pieces.map(tokenPiece);
    this.mapped = pieces.every(({ file }) => file !== null);
    this.#reader = new TokenReader({ pieces, blockSize, documentStart, device });
    this.#rows = new Float64Array(3 * batchSize);
  }

  /**
   * Asks for batches, all of as many rows: at most `batchSize`.
   *
   * @param inBackground - whether a thread reads them; else they are read now
   */
  request(batches: readonly BatchBlocks[], inBackground: boolean): void {
    const rowsPerBatch = batches[0]!.blocks.length;
    const length = 3 * rowsPerBatch * batches.length;
    if (length > this.#rows.length) this.#rows = new Float64Array(length);
    const rows = this.#rows;
    let at = 0;
    for (const { blocks } of batches) {
      for (const { start, from, to } of blocks) {
        rows[at++] = start;
        rows[at++] = from;
        rows[at++] = to;
      }
    }
    this.#reader.request(rows.subarray(0, length), rowsPerBatch, inBackground);
  }

  /**
   * The batch that was asked for first.
   *
   * @param of - what it was asked for with
   * @throws WaveGPTError ERR_WAVEGPT_DATA where a file of tokens can no longer be read
   */
  take({ blocks, continues }: BatchBlocks): Batch {
    const { previous, x, y, mask: previousMask } = this.#reader.take();
    const rows = blocks.length;
    const rowTargets = new Array<number>(rows);
    let targets = 0;
    for (let row = 0; row < rows; row++) {
      const { from, to } = blocks[row]!;
      rowTargets[row] = to - from;
      targets += to - from;
    }
    return { x, previous, previousMask, y, rows, continues, targets, rowTargets };
  }

  /** A batch at once. */
  read(blocks: readonly Block[], continues: readonly boolean[] | null = null): Batch {
    const batch = { blocks, continues };
    this.request([batch], false);
    return this.take(batch);
  }

  /** Forgets what was asked for and not taken. */
  drop(): void {
    this.#reader.drop();
  }

  [Symbol.dispose](): void {
    this.#reader.dispose();
  }
}
