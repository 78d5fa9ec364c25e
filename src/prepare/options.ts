import { basename, resolve } from "node:path";
import { UsageError } from "../config/usage-error.js";
import { datasetNamed, preparedFolder } from "../data/prepared-folder.js";
import { openDataset } from "../hub/dataset.js";
import { PIECE_BYTES } from "./cut.js";
import type { PrepareEvent } from "./meter.js";
import type { Source } from "./source.js";
import { localFiles } from "./sources/local.js";
import { standardInput } from "./sources/stdin.js";

export interface PrepareOptions {
  /** `openwebtext`, a dataset of the hub (`owner/name`), files, folders, globs, or `-` for standard input. */
  readonly sources: readonly string[];
  /** The first so many documents; default: all. */
  readonly documents?: number | undefined;
  /** `gpt2`, or the path of a tokenizer's file; default `gpt2`. */
  readonly tokenizer?: string | undefined;
  /** The folder; default: one in `data/`, named after the source. */
  readonly out?: string | undefined;
  /** Share of the documents for validation; default 0.01. */
  readonly validation?: number | undefined;
  /** The column or key that holds the text; default `"text"`. */
  readonly textColumn?: string | undefined;
  /** What stands between documents of plain text; default `<|endoftext|>`. */
  readonly separator?: string | undefined;
  /** Tokens of a shard; default 100,000,000. */
  readonly shardTokens?: number | undefined;
  /** A dataset's branch, tag or commit; default `main`. */
  readonly revision?: string | undefined;
  /** Which files of a dataset, as a glob; default: those of its split `train`. */
  readonly files?: string | undefined;
  /** Threads that encode; default: one a core. */
  readonly workers?: number | undefined;
  readonly resume?: boolean | undefined;
  readonly overwrite?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onEvent?: ((event: PrepareEvent) => void) | undefined;
}

type Passed = "revision" | "files" | "workers" | "signal" | "onEvent";

/** Options with their defaults. */
export interface CheckedOptions extends Pick<PrepareOptions, "sources" | Passed> {
  readonly documents: number | null;
  readonly tokenizer: string;
  readonly out: string;
  readonly validation: number;
  readonly textColumn: string;
  readonly separator: string;
  readonly shardTokens: number;
  readonly resume: boolean;
  readonly overwrite: boolean;
}

const DEFAULT_SEPARATOR = "<|endoftext|>";
/** Between two looks for separators, so many bytes of text may lie in memory. */
const LONGEST_SEPARATOR = PIECE_BYTES / 16;

function wholeNumber(flag: string, value: number | undefined): void {
  if (value !== undefined && (!Number.isSafeInteger(value) || value < 1)) {
    throw new UsageError(`${flag}: expected a whole number from 1, got ${value}.`);
  }
}

/** The folder where nothing else is said, by what is read. */
function defaultFolder([first = ""]: readonly string[]): string {
  if (first === "-") return preparedFolder("stdin");
  if (datasetNamed(first) !== null) return preparedFolder(first);
  const name = basename(resolve(first.replace(/[*?[{].*$/, ""))).replace(
    /(\.(txt|text|jsonl|ndjson|parquet))?(\.(gz|zst|zstd))?$/i,
    "",
  );
  return preparedFolder(name || "text");
}

/**
 * Fills in defaults and checks every value.
 * @throws UsageError
 */
export function checkOptions(given: PrepareOptions): CheckedOptions {
  const { sources, validation = 0.01, separator = DEFAULT_SEPARATOR } = given;
  if (sources.length === 0) {
    throw new UsageError(
      "prepare: expected what to prepare: openwebtext, a dataset of the Hugging Face hub (owner/name), files, or - for standard input.",
    );
  }
  wholeNumber("--documents", given.documents);
  wholeNumber("--shard-tokens", given.shardTokens);
  wholeNumber("--workers", given.workers);
  if (!(validation >= 0 && validation < 1)) {
    throw new UsageError(
      `--validation: expected a share from 0 to below 1, got ${given.validation}.`,
    );
  }
  if (separator === "" || Buffer.byteLength(separator) > LONGEST_SEPARATOR) {
    throw new UsageError(`--separator: expected 1 to ${LONGEST_SEPARATOR} bytes of text.`);
  }
  if (given.resume && given.overwrite) {
    throw new UsageError("--resume and --overwrite: expected one of them, got both.");
  }
  return {
    ...given,
    validation,
    separator,
    documents: given.documents ?? null,
    tokenizer: given.tokenizer ?? "gpt2",
    out: resolve(given.out ?? defaultFolder(sources)),
    textColumn: given.textColumn ?? "text",
    shardTokens: given.shardTokens ?? 100_000_000,
    resume: given.resume ?? false,
    overwrite: given.overwrite ?? false,
  };
}

/**
 * Finds what is to be read.
 * @throws UsageError where it is not there; WaveGPTError ERR_WAVEGPT_HUB
 */
export async function openSource(
  { sources, revision, files }: CheckedOptions,
  onNotice: (message: string) => void,
): Promise<Source> {
  const datasets = sources.map(datasetNamed);
  const [dataset] = datasets;
  if (sources.length === 1 && dataset) return openDataset({ dataset, revision, files, onNotice });
  const mixed = sources.length > 1 && (datasets.some(Boolean) || sources.includes("-"));
  if (mixed) {
    throw new UsageError(
      `prepare: expected one dataset, or - alone, or files that are there, got ${sources.join(" ")}.`,
    );
  }
  if (revision !== undefined || files !== undefined) {
    throw new UsageError("--revision, --files: a choice in a dataset of the hub; files have none.");
  }
  const found = sources[0] === "-" ? [standardInput()] : await localFiles(sources);
  return { files: found, describe: () => ({ kind: "files" }), close: async () => {} };
}
