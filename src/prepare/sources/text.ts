import { cut, cutLength, LONGEST_PIECE } from "../cut.js";
import type { DataFile, Layout, OnBytes, Piece, Position } from "../source.js";
import { decompressed } from "./bytes.js";

/**
 * The documents of a plain text, which the separator stands between. A file that begins with the separator has no
 * document before it. Long documents come in pieces, so that the text need not fit into memory.
 */
export async function* readText(
  file: DataFile,
  from: Position,
  { separator }: Layout,
  onBytes: OnBytes,
): AsyncGenerator<Piece> {
  const mark = Buffer.from(separator, "utf8");
  let { row, byte, open } = from;
  let rest: Buffer = Buffer.alloc(0);

  const piece = (bytes: Uint8Array, last: boolean, skipped: number): Piece => {
    const first = !open;
    const place = `${file.name}, document ${row + 1}`;
    byte += bytes.length + skipped;
    open = !last;
    if (last) row++;
    return { bytes, first, last, place, after: { file: from.file, row, byte, open } };
  };
  function* ending(document: Uint8Array, skipped: number): Generator<Piece> {
    let left = document.length;
    for (const bytes of cut(document)) {
      left -= bytes.length;
      yield piece(bytes, left === 0, left === 0 ? skipped : 0);
    }
  }

  for await (const chunk of decompressed(file, byte, onBytes)) {
    rest = rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([rest, chunk]);
    let start = 0;
    for (let at = rest.indexOf(mark); at >= 0; at = rest.indexOf(mark, start)) {
      if (at === 0 && start === 0 && byte === 0) byte += mark.length;
      else yield* ending(rest.subarray(start, at), mark.length);
      start = at + mark.length;
    }
    rest = rest.subarray(start);
    // The last bytes may be the beginning of a separator.
    while (rest.length > LONGEST_PIECE + mark.length) {
      const length = cutLength(rest);
      yield piece(rest.subarray(0, length), false, 0);
      rest = rest.subarray(length);
    }
  }
  if (rest.length > 0 || open) yield* ending(rest, 0);
}
