/** A piece of a long document is longer than this, in bytes, but for the last one. */
export const PIECE_BYTES = 1 << 20;
/** Documents longer than this are cut. */
export const LONGEST_PIECE = 2 * PIECE_BYTES;

const SPACE = 0x20;

function isLetter(byte: number): boolean {
  return (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a);
}

/**
 * Where the first piece of a document ends that is longer than {@link LONGEST_PIECE}: before the last space in that many
 * bytes which follows an (ASCII) letter. Pre-tokenizers of byte-level BPEs end a word there whatever stands on either
 * side, so the pieces' tokens are the text's. A text without such a place (a megabyte without a space) is cut between
 * two characters. Depends on the document alone, not on how it is read.
 * @param bytes the document, or at least {@link LONGEST_PIECE} of it
 */
export function cutLength(bytes: Uint8Array): number {
  for (let at = LONGEST_PIECE - 1; at > PIECE_BYTES; at--) {
    if (bytes[at] === SPACE && isLetter(bytes[at - 1]!)) return at;
  }
  let at = LONGEST_PIECE - 1;
  // Bytes of the form 10xxxxxx go on with a character, of at most four bytes.
  while (at > LONGEST_PIECE - 4 && (bytes[at]! & 0xc0) === 0x80) at--;
  return at;
}

/** A whole document, or the rest of one, in pieces. */
export function* cut(document: Uint8Array): Generator<Uint8Array> {
  let rest = document;
  while (rest.length > LONGEST_PIECE) {
    const length = cutLength(rest);
    yield rest.subarray(0, length);
    rest = rest.subarray(length);
  }
  yield rest;
}
