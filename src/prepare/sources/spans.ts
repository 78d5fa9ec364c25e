import { WaveGPTError } from "../../../lib/errors.js";
import type { DataFile } from "../source.js";

/** Bytes of a file, from `from` to before `to`. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** About how many bytes are asked for ahead of those in use. */
const AHEAD_BYTES = 32 << 20;

/** Reads spans in order; the next ones are on their way while one is in use. */
export async function* readAhead(
  file: DataFile,
  spans: readonly Span[],
): AsyncGenerator<Uint8Array> {
  const under: { bytes: Promise<Uint8Array>; length: number }[] = [];
  let at = 0;
  let ahead = 0;
  try {
    for (;;) {
      while (
        at < spans.length &&
        (under.length === 0 || (ahead < AHEAD_BYTES && under.length < 4))
      ) {
        const { from, to } = spans[at++]!;
        const bytes = file.range(from, to);
        // It may fail before anyone waits for it.
        bytes.catch(() => {});
        under.push({ bytes, length: to - from });
        ahead += to - from;
      }
      const next = under.shift();
      if (next === undefined) return;
      ahead -= next.length;
      yield await next.bytes;
    }
  } finally {
    await Promise.allSettled(under.map(({ bytes }) => bytes));
  }
}

/** A file was read whole and is not what its publisher says it is. */
export function checksumError(file: DataFile, found: string): WaveGPTError {
  return new WaveGPTError(
    "ERR_WAVEGPT_CHECKSUM",
    `${file.name}: expected SHA-256 ${file.sha256}, got ${found}. Nothing of this file was kept; --resume reads it anew.`,
  );
}
