/** Where reading goes on: what comes before it has been written. */
export interface Position {
  /** Index of the file. */
  readonly file: number;
  /** Documents (lines, rows) of the file that are done. */
  readonly row: number;
  /** Bytes of the file that are done, decompressed; 0 where rows are found by number. */
  readonly byte: number;
  /** Whether the document at this place has begun already. */
  readonly open: boolean;
}

export const BEGINNING: Position = { file: 0, row: 0, byte: 0, open: false };

/** A document, or a part of a long one. */
export interface Piece {
  /** UTF-8, not checked yet. */
  readonly bytes: Uint8Array;
  /** Whether a document begins with it. */
  readonly first: boolean;
  /** Whether a document ends with it. */
  readonly last: boolean;
  /** For messages, e.g. `a.jsonl, line 3`. */
  readonly place: string;
  /** Where to go on after it, or null where reading cannot begin there. */
  readonly after: Position | null;
}

/** A file of documents, on this machine or at a hub. */
export interface DataFile {
  /** For messages and the manifest. */
  readonly name: string;
  /** In bytes as stored; null for a stream of unknown length. */
  readonly size: number | null;
  /** Of the whole file, where it is known: compared where the whole file is read. */
  readonly sha256: string | null;
  /** What the manifest says of it. */
  describe(): Readonly<Record<string, unknown>>;
  /** Tells its content from another's of the same name: a hub's object id, or when it was last changed. */
  readonly version: string;
  /** Its bytes from `from` on, as stored. */
  stream(from: number): AsyncIterable<Uint8Array>;
  /** Its bytes from `from` to before `to`. */
  range(from: number, to: number): Promise<Uint8Array>;
}

/** What is to be read, in order. */
export interface Source {
  readonly files: readonly DataFile[];
  /** What the manifest says of it beside the files. */
  describe(): Readonly<Record<string, unknown>>;
  close(): Promise<void>;
}

/** How documents lie in files. */
export interface Layout {
  /** The column (or key) that holds the text. */
  readonly textColumn: string;
  /** What stands between documents of plain text. */
  readonly separator: string;
  /** How many documents are wanted, from the position on; null for all. */
  readonly documents: number | null;
}

/** Told how many bytes of a file, as stored, have been read. */
export type OnBytes = (bytes: number) => void;
