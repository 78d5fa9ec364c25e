import { WaveGPTError } from "../../../lib/errors.js";
import { cut } from "../cut.js";
import type { DataFile, Layout, OnBytes, Piece, Position } from "../source.js";
import { decompressed } from "./bytes.js";

const NEWLINE = 0x0a;
/** A line is read whole, and JavaScript's strings end at 512 Mi characters. */
const LONGEST_LINE = 256 << 20;

async function* lines(file: DataFile, from: number, onBytes: OnBytes): AsyncGenerator<Buffer> {
  let parts: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of decompressed(file, from, onBytes)) {
    let start = 0;
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, start)) {
      parts.push(chunk.subarray(start, at));
      yield Buffer.concat(parts);
      parts = [];
      length = 0;
      start = at + 1;
    }
    if (start < chunk.length) {
      parts.push(chunk.slice(start));
      length += chunk.length - start;
      if (length > LONGEST_LINE) {
        throw new WaveGPTError(
          "ERR_WAVEGPT_DATA",
          `${file.name}: a line is longer than ${LONGEST_LINE >> 20} MiB; expected one JSON object a line.`,
        );
      }
    }
  }
  if (length > 0) yield Buffer.concat(parts);
}

function textOf(line: Buffer, column: string, place: string): Buffer {
  const fail = (what: string): never => {
    throw new WaveGPTError("ERR_WAVEGPT_DATA", `${place}: ${what}`);
  };
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(line);
  } catch {
    return fail("is not valid UTF-8.");
  }
  let row: unknown;
  try {
    row = JSON.parse(text);
  } catch (error) {
    return fail(`is not valid JSON: ${(error as Error).message}`);
  }
  if (typeof row !== "object" || row === null || Array.isArray(row)) {
    return fail(`expected a JSON object, got ${line.length > 40 ? typeof row : text}.`);
  }
  const value = (row as Record<string, unknown>)[column];
  if (typeof value === "string") return Buffer.from(value, "utf8");
  if (value === null) return Buffer.alloc(0);
  const keys = Object.keys(row).join(", ") || "none";
  return fail(
    value === undefined
      ? `has no ${JSON.stringify(column)}; its keys are ${keys}. Choose one with --text-column.`
      : `expected ${JSON.stringify(column)} to be text, got ${typeof value}.`,
  );
}

/** The documents of a file with one JSON object a line. */
export async function* readJsonLines(
  file: DataFile,
  from: Position,
  { textColumn }: Layout,
  onBytes: OnBytes,
): AsyncGenerator<Piece> {
  let { row, byte } = from;
  for await (const line of lines(file, byte, onBytes)) {
    byte += line.length + 1;
    row++;
    if (line.length === 0 || line.every((unit) => unit === 0x0d || unit === 0x20)) continue;
    const place = `${file.name}, line ${row}`;
    const after: Position = { file: from.file, row, byte, open: false };
    let previous: Uint8Array | null = null;
    let first = true;
    for (const bytes of cut(textOf(line, textColumn, place))) {
      if (previous !== null) {
        yield { bytes: previous, first, last: false, place, after: null };
        first = false;
      }
      previous = bytes;
    }
    yield { bytes: previous!, first, last: true, place, after };
  }
}
