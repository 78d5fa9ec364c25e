import { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { Decompress } from "fzstd";
import { WaveGPTError } from "../../../lib/errors.js";
import type { DataFile, OnBytes } from "../source.js";

/** A file's name without what says how it is compressed, and how that is. */
export function compressionOf(name: string): { name: string; compression: "gzip" | "zstd" | null } {
  if (/\.gz$/i.test(name)) return { name: name.slice(0, -3), compression: "gzip" };
  if (/\.(zst|zstd)$/i.test(name)) {
    return { name: name.replace(/\.(zst|zstd)$/i, ""), compression: "zstd" };
  }
  return { name, compression: null };
}

async function* gunzip(stored: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const gunzip = createGunzip();
  const input = Readable.from(stored, { objectMode: true });
  // An error of the input must reach the reader of the output, too.
  input.on("error", (error) => gunzip.destroy(error));
  try {
    yield* input.pipe(gunzip) as AsyncIterable<Buffer>;
  } finally {
    input.destroy();
    gunzip.destroy();
  }
}

/** Node has zstd from version 22.15 on. */
async function* unzstd(stored: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const done: Uint8Array[] = [];
  let ended = false;
  const stream = new Decompress((chunk, final) => {
    if (chunk.length > 0) done.push(chunk.slice());
    ended = final === true;
  });
  for await (const chunk of stored) {
    stream.push(chunk.slice());
    yield* done.splice(0);
  }
  stream.push(new Uint8Array(0), true);
  yield* done.splice(0);
  if (!ended) throw new Error("unexpected end of file");
}

async function* skip(bytes: AsyncIterable<Uint8Array>, count: number): AsyncGenerator<Uint8Array> {
  let left = count;
  for await (const chunk of bytes) {
    if (left >= chunk.length) {
      left -= chunk.length;
      continue;
    }
    yield left === 0 ? chunk : chunk.subarray(left);
    left = 0;
  }
  if (left > 0) throw new Error(`it ended ${left} bytes before the place to go on from`);
}

async function* counted(
  bytes: AsyncIterable<Uint8Array>,
  onBytes: OnBytes,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of bytes) {
    onBytes(chunk.length);
    yield chunk;
  }
}

/**
 * A file's bytes, decompressed by its name's ending, from the decompressed byte `from` on. What is compressed has to be
 * read from its beginning.
 * @throws WaveGPTError ERR_WAVEGPT_DATA naming the file, where it is damaged
 */
export async function* decompressed(
  file: DataFile,
  from: number,
  onBytes: OnBytes,
): AsyncGenerator<Uint8Array> {
  const { compression } = compressionOf(file.name);
  if (compression === null) {
    if (from > 0) onBytes(from);
    yield* counted(file.stream(from), onBytes);
    return;
  }
  const stored = counted(file.stream(0), onBytes);
  try {
    yield* skip(compression === "gzip" ? gunzip(stored) : unzstd(stored), from);
  } catch (error) {
    if (error instanceof WaveGPTError) throw error;
    throw new WaveGPTError(
      "ERR_WAVEGPT_DATA",
      `${file.name}: cannot be decompressed (${compression}): ${(error as Error).message}. It is damaged or cut short.`,
      { cause: error },
    );
  }
}
