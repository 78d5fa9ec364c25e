import { binding } from "./binding.js";
import type { Device } from "./device.js";
import type { NativeTokenReader } from "./native.js";
import { Tensor } from "./tensor.js";

/** A part of a text. */
export interface TokenPiece {
  /** One dimension, uint16 or uint32, on the CPU. Its memory is kept, not copied. */
  readonly tokens: Tensor;
  /** The file that is mapped into memory there; null for memory like any other. */
  readonly file: string | null;
}

export interface TokenReaderOptions {
  /** One text, in order. */
  readonly pieces: readonly TokenPiece[];
  /** Tokens of a row. */
  readonly blockSize: number;
  /** The token that bounds what stands before a row; null where nothing does. */
  readonly documentStart: number | null;
  /** Where batches are put. */
  readonly device: Device;
}

/** Rows of a text: (rows, blockSize), int64; of the innermost scope. */
export interface TokenRows {
  /** The tokens before each row, right-aligned, 0 where there is none. */
  readonly previous: Tensor;
  readonly x: Tensor;
  /** The token after each of `x`, or -100 where it is not counted. */
  readonly y: Tensor;
  /** True where `previous` holds a token, bool; null where it does everywhere. */
  readonly mask: Tensor | null;
}

/**
 * Cuts rows out of a text's tokens, in native code. What is asked for in the background is read by a thread of the
 * reader's own, so that a disk's time is not the caller's. Batches come in the order in which they were asked for.
 * Dispose of it: its thread, and the tokens, are held until then, or until it is collected.
 */
export class TokenReader implements Disposable {
  readonly #native: NativeTokenReader;
  readonly #device: Device;
  /** Into page-locked memory, so that the copy to the GPU waits for nothing. */
  readonly #pageLocked: boolean;

  /** @throws WaveGPTError ERR_WAVEGPT_ARGUMENT naming what is wrong with a piece */
  constructor({ pieces, blockSize, documentStart, device }: TokenReaderOptions) {
    this.#device = device;
    this.#pageLocked = device.startsWith("cuda");
    this.#native = binding.createTokenReader(
      pieces.map(({ tokens }) => tokens.handle),
      pieces.map(({ file }) => file),
      blockSize,
      documentStart,
      device !== "cpu",
      this.#pageLocked,
    );
  }

  /**
   * Asks for batches.
   *
   * @param rows - three numbers a row: where it starts, and the targets that it counts, from and to before (target `j`
   * is the token `j + 1`). Copied.
   * @param rowsPerBatch - a divisor of the number of rows
   * @param inBackground - whether the thread reads them; else they are read now. Not where a piece shares the memory of
   * a typed array: where this is a worker that is terminated, its arrays are freed first.
   */
  request(rows: Float64Array, rowsPerBatch: number, inBackground: boolean): void {
    binding.requestTokenBatches(this.#native, rows, rowsPerBatch, inBackground);
  }

  /**
   * The batch that was asked for first; read now where the thread has not begun it.
   *
   * @throws WaveGPTError ERR_WAVEGPT_DATA naming the file of which pages could not be read (Linux 5.14 and later;
   * elsewhere a file that was cut short while it is mapped ends the process)
   */
  take(): TokenRows {
    const handles = binding.takeTokenBatch(this.#native);
    const tensors = handles.map((handle) => (handle === null ? null : new Tensor(handle)));
    if (this.#device === "cpu") {
      const [previous, x, y, mask] = tensors as [Tensor, Tensor, Tensor, Tensor | null];
      return { previous, x, y, mask };
    }
    const options = { device: this.#device, nonBlocking: this.#pageLocked };
    const [all, mask] = tensors as [Tensor, Tensor | null];
    const [previous, x, y] = all.to(options).unbind(0) as [Tensor, Tensor, Tensor];
    return { previous, x, y, mask: mask?.to(options) ?? null };
  }

  /** Forgets what was asked for and not taken. */
  drop(): void {
    binding.dropTokenBatches(this.#native);
  }

  dispose(): void {
    binding.closeTokenReader(this.#native);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
