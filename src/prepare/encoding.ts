import type { TokenArray } from "../tokenizer/index.js";

/** What a worker is started with. */
export interface WorkerSetup {
  /** `--tokenizer`. */
  readonly tokenizer: string;
  readonly validation: number;
}

/** Which part a piece is of: to be found out (a whole document, or its beginning), or known already. */
export const UNDECIDED = 2;

/** Pieces of documents, to be encoded. */
export interface EncodeRequest {
  /** Their bytes, one after the other. */
  readonly bytes: Uint8Array;
  /** Where each ends in `bytes`. */
  readonly ends: Uint32Array;
  /** Of each: an index into `PARTS`, or {@link UNDECIDED}. */
  readonly parts: Uint8Array;
  /** Of each: whether a document begins with it. */
  readonly first: Uint8Array;
}

/** What pieces of one part add up to. */
export interface EncodedPart {
  readonly tokens: TokenArray;
  readonly documents: number;
  readonly characters: number;
  readonly bytes: number;
}

/** The answer: one for each of `PARTS`; or the piece that is not UTF-8. */
export type EncodeAnswer =
  | { readonly parts: readonly EncodedPart[]; readonly empty: number }
  | { readonly invalid: number }
  | { readonly error: string; readonly piece: number };
