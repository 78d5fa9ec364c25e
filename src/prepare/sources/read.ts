import type { DataFile, Layout, OnBytes, Piece, Position } from "../source.js";
import { compressionOf } from "./bytes.js";
import { readJsonLines } from "./jsonl.js";
import { readParquet } from "./parquet.js";
import { readText } from "./text.js";

/** Names of files that can be read. */
export const FORMATS = /\.(parquet|(txt|text|jsonl|ndjson)(\.gz|\.zst|\.zstd)?)$/i;

/** A file's documents from a position on, read by what its name ends in; standard input is plain text. */
export function readDocuments(
  file: DataFile,
  from: Position,
  layout: Layout,
  onBytes: OnBytes,
): AsyncGenerator<Piece> {
  const { name } = compressionOf(file.name);
  if (/\.parquet$/i.test(name)) return readParquet(file, from, layout, onBytes);
  if (/\.(jsonl|ndjson)$/i.test(name)) return readJsonLines(file, from, layout, onBytes);
  return readText(file, from, layout, onBytes);
}
