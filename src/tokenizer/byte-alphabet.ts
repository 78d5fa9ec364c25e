/**
 * The characters by which byte-level vocabularies write bytes: printable ones of Latin-1 as themselves, the others from
 * U+0100 on, as GPT-2's encoder.py has it. In the order in which the bytes are GPT-2's first 256 tokens.
 */
const ALPHABET: readonly (readonly [number, string])[] = (() => {
  const bytes = Array.from({ length: 256 }, (_, byte) => byte);
  const printable = (byte: number) =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte !== 0xad);
  const others = bytes.filter((byte) => !printable(byte));
  return [
    ...bytes.filter(printable).map((byte) => [byte, String.fromCharCode(byte)] as const),
    ...others.map((byte, i) => [byte, String.fromCharCode(0x100 + i)] as const),
  ];
})();

/** The bytes in the order of the characters they are written by. */
export const ALPHABET_BYTES: readonly number[] = ALPHABET.map(([byte]) => byte);

const BY_BYTE: readonly string[] = Array.from(
  { length: 256 },
  (_, byte) => ALPHABET.find(([other]) => other === byte)![1],
);
const BY_CHARACTER: ReadonlyMap<string, number> = new Map(
  ALPHABET.map(([byte, character]) => [character, byte]),
);

/** Bytes as a byte-level vocabulary writes them. */
export function writeBytes(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += BY_BYTE[byte];
  return text;
}

/** The bytes that a byte-level vocabulary writes so, or null where a character stands for none. */
export function readBytes(text: string): Uint8Array | null {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    const byte = BY_CHARACTER.get(text[i]!);
    if (byte === undefined) return null;
    bytes[i] = byte;
  }
  return bytes;
}
