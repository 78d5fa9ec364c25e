import { createHash } from "node:crypto";
import {
  type AsyncBuffer,
  type FileMetaData,
  parquetMetadataAsync,
  parquetRead,
  type RowGroup,
} from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { WaveGPTError } from "../../../lib/errors.js";
import { cut } from "../cut.js";
import type { DataFile, Layout, OnBytes, Piece, Position } from "../source.js";
import { checksumError, readAhead, type Span } from "./spans.js";

/** About how many decompressed bytes of a column are decoded at once. */
const WINDOW_BYTES = 8 << 20;
/** A file is read whole, and its checksum compared, where all but this share of it has to be read anyway. */
const WASTE = 0.05;

function fail(place: string, what: string, cause?: unknown): never {
  throw new WaveGPTError("ERR_WAVEGPT_DATA", `${place}: ${what}`, { cause });
}

function exact(bytes: Uint8Array): ArrayBuffer {
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
}

/** The footer says where everything else is. */
async function metadataOf(file: DataFile, size: number): Promise<FileMetaData> {
  const buffer: AsyncBuffer = {
    byteLength: size,
    slice: async (from, to = size) => exact(await file.range(from, to)),
  };
  try {
    return await parquetMetadataAsync(buffer, { geoparquet: false });
  } catch (error) {
    if (error instanceof WaveGPTError) throw error;
    return fail(file.name, `is not a whole parquet file: ${(error as Error).message}.`, error);
  }
}

function textChunk(group: RowGroup, column: string) {
  return group.columns.find(
    ({ meta_data }) =>
      meta_data?.path_in_schema.length === 1 && meta_data.path_in_schema[0] === column,
  )?.meta_data;
}

function checkColumn(file: DataFile, metadata: FileMetaData, column: string): void {
  const fields = metadata.schema.slice(1);
  const found = fields.find(({ name }) => name === column);
  if (found === undefined || !metadata.row_groups.every((group) => textChunk(group, column))) {
    const names = fields.map(({ name }) => name).join(", ");
    fail(
      file.name,
      `has no column ${JSON.stringify(column)} of text; its columns are ${names}. Choose one with --text-column.`,
    );
  }
  if (found.type !== "BYTE_ARRAY") {
    fail(file.name, `expected the column ${JSON.stringify(column)} to be text, got ${found.type}.`);
  }
}

/** A row group that is to be read, or the rest of one. */
interface Group {
  readonly index: number;
  readonly chunk: NonNullable<ReturnType<typeof textChunk>>;
  readonly span: Span;
  /** Rows of the file before the group. */
  readonly before: number;
  readonly rows: number;
}

function groupsOf(metadata: FileMetaData, column: string, from: number, limit: number): Group[] {
  const groups: Group[] = [];
  let before = 0;
  metadata.row_groups.forEach((group, index) => {
    const rows = Number(group.num_rows);
    if (rows > 0 && before + rows > from && before < from + limit) {
      const chunk = textChunk(group, column)!;
      const start = Number(chunk.dictionary_page_offset || chunk.data_page_offset);
      const span = { from: start, to: start + Number(chunk.total_compressed_size) };
      groups.push({ index, chunk, span, before, rows });
    }
    before += rows;
  });
  return groups;
}

/** The text of some rows of a group, as bytes; null where there is none. */
async function decode(
  group: Group,
  metadata: FileMetaData,
  bytes: ArrayBuffer,
  column: string,
  rowStart: number,
  rowEnd: number,
): Promise<(Uint8Array | null | undefined)[]> {
  let rows: Record<string, unknown>[] = [];
  await parquetRead({
    file: {
      byteLength: group.span.to,
      slice: (from, to = group.span.to) =>
        bytes.slice(from - group.span.from, to - group.span.from),
    },
    metadata,
    columns: [column],
    rowStart,
    rowEnd,
    rowFormat: "object",
    utf8: false,
    geoparquet: false,
    compressors,
    // Text stays bytes: they are checked, and encoded, by the workers.
    parsers: { stringFromBytes: (text: Uint8Array) => text },
    onComplete: (all) => {
      rows = all;
    },
  });
  if (rows.length !== rowEnd - rowStart) {
    throw new Error(`expected ${rowEnd - rowStart} rows, got ${rows.length}`);
  }
  return rows.map((row) => row[column] as Uint8Array | null | undefined);
}

/**
 * The rows of a parquet file. Only the text's column is read, of the row groups that are needed, a few megabytes ahead
 * and decoded a few megabytes at a time. Where that is nearly all of the file anyway, the whole of it is read, and
 * compared with its checksum.
 */
export async function* readParquet(
  file: DataFile,
  from: Position,
  { textColumn, documents }: Layout,
  onBytes: OnBytes,
): AsyncGenerator<Piece> {
  if (file.size === null) fail(file.name, "a parquet file cannot be read from a stream.");
  const { size } = file;
  const metadata = await metadataOf(file, size);
  checkColumn(file, metadata, textColumn);
  const groups = groupsOf(metadata, textColumn, from.row, documents ?? Number.POSITIVE_INFINITY);
  const needed = groups.reduce((sum, { span }) => sum + span.to - span.from, 0);
  const whole = file.sha256 !== null && from.row === 0 && needed >= size * (1 - WASTE);
  const spans = groups.map(({ span }) => span);
  // What lies between the groups, and after the last of them, belongs to the checksum.
  const last = { from: spans.at(-1)?.to ?? 0, to: size };
  const hash = createHash("sha256");
  let hashed = 0;
  const read = readAhead(file, whole ? wholeSpans(spans, last) : spans);
  const next = async (): Promise<Uint8Array> => {
    const bytes = (await read.next()).value as Uint8Array;
    if (whole) {
      hash.update(bytes);
      hashed += bytes.length;
    }
    onBytes(bytes.length);
    return bytes;
  };
  if (groups.length === 0) return;
  let at = 0;
  for (const group of groups) {
    const all = await next();
    const start = whole ? group.span.from - at : 0;
    const bytes = exact(all.subarray(start, start + group.span.to - group.span.from));
    at = group.span.to;
    const place = `${file.name}, row group ${group.index + 1}`;
    const perWindow = Math.max(
      1,
      Math.ceil(
        group.rows / Math.ceil(Number(group.chunk.total_uncompressed_size) / WINDOW_BYTES || 1),
      ),
    );
    const end = group.before + group.rows;
    for (let row = Math.max(group.before, from.row); row < end; row += perWindow) {
      let texts: (Uint8Array | null | undefined)[];
      try {
        texts = await decode(
          group,
          metadata,
          bytes,
          textColumn,
          row,
          Math.min(end, row + perWindow),
        );
      } catch (error) {
        fail(
          place,
          `cannot be decoded: ${(error as Error).message}. The file is damaged, or of a kind that is not supported.`,
          error,
        );
      }
      for (const [index, text] of texts.entries()) {
        yield* rowPieces(text ?? new Uint8Array(0), file, from.file, row + index);
      }
    }
  }
  if (whole) {
    await next();
    const found = hash.digest("hex");
    if (hashed !== size || found !== file.sha256) throw checksumError(file, found);
  }
}

/** The spans and what lies before each, so that together they are the file from its first byte to its last. */
function wholeSpans(spans: readonly Span[], last: Span): Span[] {
  let at = 0;
  const all = spans.map(({ to }) => {
    const span = { from: at, to };
    at = to;
    return span;
  });
  return [...all, last];
}

function* rowPieces(
  text: Uint8Array,
  file: DataFile,
  fileIndex: number,
  row: number,
): Generator<Piece> {
  const place = `${file.name}, row ${row + 1}`;
  const after: Position = { file: fileIndex, row: row + 1, byte: 0, open: false };
  let first = true;
  let done = 0;
  for (const bytes of cut(text)) {
    done += bytes.length;
    const last = done === text.length;
    yield { bytes, first, last, place, after: last ? after : null };
    first = false;
  }
}
