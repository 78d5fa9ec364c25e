import { type Tensor, torch } from "../../lib/index.js";
import type { Block } from "./blocks.js";
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

// int64 is written as two 32-bit words, which is several times faster than through BigInt.
const LOW = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1 ? 0 : 1;
const HIGH = 1 - LOW;

export interface BatchOptions {
  readonly tokens: TokenSequence;
  /** The most rows of a batch. */
  readonly batchSize: number;
  readonly blockSize: number;
  readonly device: string;
  /** The token that documents begin with, where `previous` is to hold the block's own document alone; else null. */
  readonly documentStart: number | null;
}

/** Fills batches from a text: one buffer for all three parts, which the tensors copy. */
export class BatchWriter {
  readonly #words: Int32Array;
  readonly #elements: BigInt64Array;
  readonly #mask: Uint8Array;

  readonly batchSize: number;

  constructor(private readonly options: BatchOptions) {
    const { batchSize, blockSize } = options;
    this.batchSize = batchSize;
    this.#elements = new BigInt64Array(3 * batchSize * blockSize);
    this.#words = new Int32Array(this.#elements.buffer);
    this.#mask = new Uint8Array(batchSize * blockSize);
  }

  /**
   * @param blocks - at most `batchSize`
   * @param continues - see {@link Batch.continues}
   */
  write(blocks: readonly Block[], continues: readonly boolean[] | null = null): Batch {
    const { blockSize, device } = this.options;
    const rows = blocks.length;
    const size = rows * blockSize;
    let wholePrevious = true;
    blocks.forEach((block, row) => {
      const missing = this.#writeRow(block, row * blockSize, size);
      wholePrevious &&= missing === 0;
    });
    const rowTargets = blocks.map(({ from, to }) => to - from);
    const targets = rowTargets.reduce((sum, count) => sum + count, 0);
    const [previous, x, y] = this.#tensors(rows, size);
    let previousMask: Tensor | null = null;
    if (!wholePrevious) {
      const mask = torch.fromTypedArray(this.#mask.subarray(0, size), [rows, blockSize], {
        dtype: "bool",
      });
      previousMask = device === "cpu" ? mask : mask.to(device);
    }
    return { x, previous, previousMask, y, rows, continues, targets, rowTargets };
  }

  /** The three parts: one copy to a GPU, or three on the CPU, where taking one apart would cost more than all of them. */
  #tensors(rows: number, size: number): [Tensor, Tensor, Tensor] {
    const { blockSize, device } = this.options;
    const elements = this.#elements;
    if (device !== "cpu") {
      const all = torch.fromTypedArray(elements.subarray(0, 3 * size), [3, rows, blockSize]);
      return all.to(device).unbind(0) as [Tensor, Tensor, Tensor];
    }
    const part = (at: number) =>
      torch.fromTypedArray(elements.subarray(at * size, (at + 1) * size), [rows, blockSize]);
    return [part(0), part(1), part(2)];
  }

  /** @returns how many of the tokens before the block are left out */
  #writeRow({ start, from, to }: Block, at: number, size: number): number {
    const { tokens, blockSize } = this.options;
    const words = this.#words;
    const begin = Math.max(0, start - blockSize);
    // The last block of rows that run on may reach beyond the text.
    const row = tokens.view(begin, Math.min(start + blockSize + 1, tokens.length));
    const before = start - begin;
    const missing = blockSize - before + this.#otherDocuments(row, before);
    this.#mask.fill(0, at, at + missing).fill(1, at + missing, at + blockSize);
    for (let i = 0; i < blockSize; i++) {
      const previous = 2 * (at + i);
      words[previous + LOW] = i < missing ? 0 : row[before - blockSize + i]!;
      words[previous + HIGH] = 0;
      const x = previous + 2 * size;
      words[x + LOW] = row[before + i] ?? 0;
      words[x + HIGH] = 0;
      const y = x + 2 * size;
      const counted = start + i >= from && start + i < to;
      words[y + LOW] = counted ? row[before + i + 1]! : IGNORED_TARGET;
      words[y + HIGH] = counted ? 0 : -1;
    }
    return missing;
  }

  /** How many of a row's first `before` tokens belong to other documents than the one its block begins in. */
  #otherDocuments(row: ArrayLike<number>, before: number): number {
    const { documentStart } = this.options;
    if (documentStart === null) return 0;
    for (let i = before; i >= 0; i--) if (row[i] === documentStart) return i;
    return 0;
  }
}
