import { WaveGPTError } from "../../lib/errors.js";

/**
 * One row of a batch. Target `j` of a text is its token `j + 1`, predicted from the tokens up to `j`.
 * The row reads the `blockSize` tokens from `start` and counts the targets from `from` to before `to`:
 * all `blockSize` of them, but for the rows at a text's ends.
 */
export interface Block {
  readonly start: number;
  readonly from: number;
  readonly to: number;
}

/**
 * Cuts a text's `length - 1` targets into blocks that count each target exactly once: `phase` targets
 * first (none for phase 0), then `blockSize` at a time, then what remains. The first and last are
 * whole blocks too, with the targets that their neighbour counts left out.
 */
export class BlockLayout {
  readonly targets: number;

  /** @throws WaveGPTError ERR_WAVEGPT_DATA for a text shorter than one block and its last target */
  constructor(
    readonly length: number,
    readonly blockSize: number,
  ) {
    if (!Number.isSafeInteger(blockSize) || blockSize < 1) {
      throw new WaveGPTError(
        "ERR_WAVEGPT_DATA",
        `the block size must be a positive whole number, got ${blockSize}`,
      );
    }
    if (length < blockSize + 1) {
      throw new WaveGPTError(
        "ERR_WAVEGPT_DATA",
        `a text (or a part of one) of ${length} tokens is too short for blocks of ${blockSize}: it needs at least ${blockSize + 1}; use a longer text or a smaller block size`,
      );
    }
    this.targets = length - 1;
  }

  count(phase = 0): number {
    return Math.ceil((this.targets - phase) / this.blockSize) + (phase > 0 ? 1 : 0);
  }

  /** The `index`-th block in document order; `phase` is from 0 to `blockSize - 1`. */
  block(index: number, phase = 0): Block {
    const { blockSize, targets } = this;
    const from = phase > 0 ? Math.max(0, phase + (index - 1) * blockSize) : index * blockSize;
    const to = phase > 0 && index === 0 ? phase : Math.min(from + blockSize, targets);
    return { start: Math.min(from, targets - blockSize), from, to };
  }
}
