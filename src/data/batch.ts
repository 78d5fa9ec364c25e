import { type Tensor, torch } from "../../lib/index.js";
import type { TokenArray } from "../tokenizer/index.js";
import type { Block } from "./blocks.js";

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

/** Fills batches from a text: one buffer for all three parts, and one native copy of it. */
export class BatchWriter {
  readonly #words: Int32Array;
  readonly #elements: BigInt64Array;
  readonly #mask: Uint8Array;

  constructor(
    readonly tokens: TokenArray,
    readonly batchSize: number,
    readonly blockSize: number,
    readonly device: string,
  ) {
    this.#elements = new BigInt64Array(3 * batchSize * blockSize);
    this.#words = new Int32Array(this.#elements.buffer);
    this.#mask = new Uint8Array(batchSize * blockSize);
  }

  /**
   * @param blocks - at most `batchSize`
   * @param continues - see {@link Batch.continues}
   */
  write(blocks: readonly Block[], continues: readonly boolean[] | null = null): Batch {
    const { blockSize, device } = this;
    const rows = blocks.length;
    const size = rows * blockSize;
    let wholePrevious = true;
    blocks.forEach((block, row) => {
      this.#writeRow(block, row * blockSize, size);
      wholePrevious &&= block.start >= blockSize;
    });
    const rowTargets = blocks.map(({ from, to }) => to - from);
    const targets = rowTargets.reduce((sum, count) => sum + count, 0);
    const all = torch.fromTypedArray(this.#elements.subarray(0, 3 * size), [3, rows, blockSize]);
    const [previous, x, y] = (device === "cpu" ? all : all.to(device)).unbind(0);
    let previousMask: Tensor | null = null;
    if (!wholePrevious) {
      const mask = torch.fromTypedArray(this.#mask.subarray(0, size), [rows, blockSize], {
        dtype: "bool",
      });
      previousMask = device === "cpu" ? mask : mask.to(device);
    }
    return {
      x: x!,
      previous: previous!,
      previousMask,
      y: y!,
      rows,
      continues,
      targets,
      rowTargets,
    };
  }

  #writeRow({ start, from, to }: Block, at: number, size: number): void {
    const { tokens, blockSize } = this;
    const words = this.#words;
    const missing = Math.max(0, blockSize - start);
    this.#mask.fill(0, at, at + missing).fill(1, at + missing, at + blockSize);
    for (let i = 0; i < blockSize; i++) {
      const previous = 2 * (at + i);
      words[previous + LOW] = i < missing ? 0 : tokens[start - blockSize + i]!;
      words[previous + HIGH] = 0;
      const x = previous + 2 * size;
      words[x + LOW] = tokens[start + i] ?? 0;
      words[x + HIGH] = 0;
      const y = x + 2 * size;
      const counted = start + i >= from && start + i < to;
      words[y + LOW] = counted ? tokens[start + i + 1]! : IGNORED_TARGET;
      words[y + HIGH] = counted ? 0 : -1;
    }
  }
}
