/** Token ids, in the narrowest array that holds every id of the vocabulary. */
export type TokenArray = Uint16Array | Uint32Array;

/** Which tokenizer tokens were made by, e.g. for the manifest of prepared data. */
export interface TokenizerIdentity {
  /** {@link Tokenizer.type} */
  readonly kind: string;
  readonly vocabSize: number;
  /** SHA-256 (hex) of what decides the tokens: equal for equal tokenizers, wherever they were loaded. */
  readonly sha256: string;
}

/** Tokens to text, as they come. */
export interface StreamDecoder {
  /** The text that is complete with this token: a character split over tokens waits for its last byte. */
  write(id: number): string;
  /** What is left: U+FFFD for a character that never came to its end. */
  end(): string;
}

/** Text to token ids and back. */
export interface Tokenizer {
  /** What `tokenizer.json` calls this kind, e.g. `"char"`. */
  readonly type: string;
  /** Ids run from 0 to `vocabSize - 1`. */
  readonly vocabSize: number;
  /** The token that stands between documents; null or none where the vocabulary lacks one. */
  readonly endOfText?: number | null;
  /** @throws WaveGPTError where the text holds something the vocabulary lacks */
  encode(text: string): TokenArray;
  /** @throws WaveGPTError for an id outside the vocabulary */
  decode(ids: ArrayLike<number>): string;
  /** For text that is shown while its tokens are made. */
  decoder(): StreamDecoder;
  describe(): TokenizerIdentity;
  /** What {@link tokenizerFromJSON} reads back. */
  toJSON(): unknown;
  /** Writes {@link toJSON} to a file. */
  save(path: string): void;
}
