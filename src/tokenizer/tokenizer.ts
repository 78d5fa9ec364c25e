/** Token ids, in the narrowest array that holds every id of the vocabulary. */
export type TokenArray = Uint16Array | Uint32Array;

/** Text to token ids and back. */
export interface Tokenizer {
  /** What `tokenizer.json` calls this kind, e.g. `"char"`. */
  readonly type: string;
  /** Ids run from 0 to `vocabSize - 1`. */
  readonly vocabSize: number;
  /** @throws WaveGPTError where the text holds something the vocabulary lacks */
  encode(text: string): TokenArray;
  /** @throws WaveGPTError for an id outside the vocabulary */
  decode(ids: ArrayLike<number>): string;
  /** What {@link tokenizerFromJSON} reads back. */
  toJSON(): unknown;
  /** Writes {@link toJSON} to a file. */
  save(path: string): void;
}
