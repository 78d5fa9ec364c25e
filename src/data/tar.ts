import { gunzipSync } from "node:zlib";

const BLOCK = 512;

function text(block: Buffer, start: number, length: number): string {
  const field = block.subarray(start, start + length);
  const end = field.indexOf(0);
  return field.toString("utf8", 0, end === -1 ? length : end);
}

/**
 * The plain files of a gzipped tar archive (ustar, as npm packs): name and content.
 * @throws Error where the archive is cut short.
 */
export function* readTarball(bytes: Uint8Array): Generator<{ name: string; content: Buffer }> {
  const archive = gunzipSync(bytes);
  for (let offset = 0; offset + BLOCK <= archive.length; ) {
    const header = archive.subarray(offset, offset + BLOCK);
    if (header[0] === 0) return; // two zero blocks end the archive
    const size = Number.parseInt(text(header, 124, 12).trim() || "0", 8);
    const start = offset + BLOCK;
    if (!(start + size <= archive.length)) throw new Error("the tar archive is cut short");
    const type = String.fromCharCode(header[156] ?? 0);
    if (type === "0" || type === "\0") {
      const prefix = text(header, 345, 155);
      const name = text(header, 0, 100);
      yield {
        name: prefix ? `${prefix}/${name}` : name,
        content: archive.subarray(start, start + size),
      };
    }
    offset = start + Math.ceil(size / BLOCK) * BLOCK;
  }
}
