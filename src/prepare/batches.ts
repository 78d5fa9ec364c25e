import { PARTS, type PartName } from "../data/manifest.js";
import { type EncodeRequest, UNDECIDED } from "./encoding.js";
import type { Layout, Piece, Position, Source } from "./source.js";
import { readDocuments } from "./sources/read.js";
import { partOf } from "./split.js";

/** Pieces that are encoded together. */
export interface Batch {
  readonly request: EncodeRequest;
  /** Of each piece, for messages. */
  readonly places: readonly string[];
  /** Where to go on after it, or null where reading cannot begin there. */
  readonly after: Position | null;
  /** The part of the document that goes on after it, if one does. */
  readonly open: PartName | null;
  /** Bytes of all files, as stored, that have been read. */
  readonly stored: number;
}

/** About how much text is encoded at once. */
const BATCH_BYTES = 1 << 20;
const BATCH_PIECES = 4096;

/** Collects pieces into batches. */
class Collector {
  #pieces: { piece: Piece; part: number }[] = [];
  #bytes = 0;

  get full(): boolean {
    return this.#bytes >= BATCH_BYTES || this.#pieces.length >= BATCH_PIECES;
  }

  get empty(): boolean {
    return this.#pieces.length === 0;
  }

  /** @param piece its bytes may be a view of a larger buffer, which is kept until {@link take} */
  add(piece: Piece, part: number): void {
    this.#pieces.push({ piece, part });
    this.#bytes += piece.bytes.length;
  }

  take(): { request: EncodeRequest; places: string[] } {
    const pieces = this.#pieces;
    const bytes = new Uint8Array(this.#bytes);
    const ends = new Uint32Array(pieces.length);
    let at = 0;
    for (const [index, { piece }] of pieces.entries()) {
      bytes.set(piece.bytes, at);
      at += piece.bytes.length;
      ends[index] = at;
    }
    this.#pieces = [];
    this.#bytes = 0;
    return {
      request: {
        bytes,
        ends,
        parts: Uint8Array.from(pieces, ({ part }) => part),
        first: Uint8Array.from(pieces, ({ piece }) => (piece.first ? 1 : 0)),
      },
      places: pieces.map(({ piece }) => piece.place),
    };
  }
}

/** How reading begins and when it ends. */
export interface ReadingPlan {
  readonly source: Source;
  readonly layout: Omit<Layout, "documents">;
  readonly validation: number;
  readonly from: Position;
  /** The part of the document that is open at `from`. */
  readonly open: PartName | null;
  /** How many documents may begin after `from`; null for all. */
  readonly documents: number | null;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Reads documents in batches, in order. The last batch of a file ends at the beginning of the next file, and comes after
 * the file has been found to be whole; it may hold no piece.
 */
export async function* readBatches(plan: ReadingPlan): AsyncGenerator<Batch> {
  const { source, validation, signal } = plan;
  const collector = new Collector();
  let { open } = plan;
  let remaining = plan.documents ?? Number.POSITIVE_INFINITY;
  let after: Position | null = plan.from;
  let stored = source.files
    .slice(0, plan.from.file)
    .reduce((sum, { size }) => sum + (size ?? 0), 0);
  const batch = (): Batch => ({ ...collector.take(), after, open, stored });

  for (let index = plan.from.file; index < source.files.length; index++) {
    const file = source.files[index]!;
    const from =
      index === plan.from.file ? plan.from : { file: index, row: 0, byte: 0, open: false };
    const layout: Layout = {
      ...plan.layout,
      documents: Number.isFinite(remaining) ? remaining : null,
    };
    const before = stored;
    const onBytes = (bytes: number) => {
      stored += bytes;
    };
    try {
      for await (const piece of readDocuments(file, from, layout, onBytes)) {
        if (signal?.aborted) break;
        if (piece.first) {
          if (remaining === 0) break;
          remaining--;
          // The whole of a short document is told apart by the worker.
          if (!piece.last) open = partOf(piece.bytes, validation);
        }
        collector.add(piece, open === null ? UNDECIDED : PARTS.indexOf(open));
        if (piece.last) open = null;
        after = piece.after;
        if (collector.full) yield batch();
      }
    } catch (error) {
      // What came before a document that cannot be read is kept.
      if (!collector.empty) yield batch();
      throw error;
    }
    if (signal?.aborted || (remaining === 0 && open === null)) break;
    stored = before + (file.size ?? 0);
    after = { file: index + 1, row: 0, byte: 0, open: false };
    yield batch();
  }
  if (!collector.empty) yield batch();
}
