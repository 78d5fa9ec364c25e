import { UsageError } from "../config/usage-error.js";
import { BPETokenizer, TokenizerTraining } from "../tokenizer/index.js";
import { checkOptions, openSource, type PrepareOptions } from "./options.js";
import { BEGINNING, type Layout } from "./source.js";
import { readDocuments } from "./sources/read.js";

type ReadingOptions = Pick<
  PrepareOptions,
  "sources" | "documents" | "textColumn" | "separator" | "revision" | "files"
>;

export interface TrainTokenizerFromOptions extends ReadingOptions {
  /** Tokens in all, with the 256 bytes and `<|endoftext|>`. */
  readonly vocabSize: number;
  /** Pairs that occur less often are not merged; default 2. */
  readonly minFrequency?: number | undefined;
  /** When aborted, reading ends, and nothing is learnt. */
  readonly signal?: AbortSignal | undefined;
  /** Told now and then what has been read. */
  readonly onProgress?: ((progress: TrainTokenizerProgress) => void) | undefined;
  readonly onNotice?: ((message: string) => void) | undefined;
}

export interface TrainTokenizerProgress {
  readonly documents: number;
  /** UTF-8. */
  readonly bytes: number;
  readonly distinctWords: number;
}

/** Between two reports of progress, at least so many bytes are read. */
const PROGRESS_BYTES = 1 << 22;

/**
 * Learns a byte-level BPE from the documents of files, a dataset of the hub or standard input; memory grows with their
 * distinct words only.
 *
 * @returns the tokenizer and what it learnt from, or null where it was aborted
 * @throws UsageError where there is nothing to read or an option is wrong
 */
export async function trainTokenizer(
  options: TrainTokenizerFromOptions,
): Promise<{ tokenizer: BPETokenizer; read: TrainTokenizerProgress } | null> {
  const { vocabSize, minFrequency = 2, signal, onProgress, onNotice = () => {} } = options;
  checkSizes(vocabSize, minFrequency);
  const checked = checkOptions(options);
  const source = await openSource(checked, onNotice);
  const training = new TokenizerTraining();
  let documents = 0;
  let told = 0;
  const read = (): TrainTokenizerProgress => ({
    documents,
    bytes: training.bytes,
    distinctWords: training.distinctWords,
  });
  try {
    for (const [index, file] of source.files.entries()) {
      const left = checked.documents === null ? null : checked.documents - documents;
      if (left === 0) break;
      const layout: Layout = { ...checked, documents: left };
      for await (const piece of readDocuments(
        file,
        { ...BEGINNING, file: index },
        layout,
        () => {},
      )) {
        if (signal?.aborted) return null;
        if (piece.first && documents === checked.documents) break;
        if (piece.first) documents++;
        training.add(piece.bytes);
        if (training.bytes - told < PROGRESS_BYTES) continue;
        told = training.bytes;
        onProgress?.(read());
      }
    }
  } finally {
    await source.close();
  }
  if (training.bytes === 0) {
    throw new UsageError(`${options.sources.join(" ")}: expected text to learn from, found none.`);
  }
  return {
    tokenizer: BPETokenizer.fromJSON(training.learn({ vocabSize, minFrequency })),
    read: read(),
  };
}

function checkSizes(vocabSize: number, minFrequency: number): void {
  // 256 bytes and <|endoftext|>.
  if (!Number.isInteger(vocabSize) || vocabSize < 257 || vocabSize > 2 ** 24) {
    throw new UsageError(
      `--vocab-size: expected a whole number from 257 to ${2 ** 24}, got ${vocabSize}.`,
    );
  }
  if (!Number.isInteger(minFrequency) || minFrequency < 1) {
    throw new UsageError(`--min-frequency: expected a whole number from 1, got ${minFrequency}.`);
  }
}
