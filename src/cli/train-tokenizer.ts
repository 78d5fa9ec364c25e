import { existsSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { type Command, Option } from "commander";
import { UsageError } from "../config/usage-error.js";
import type { TrainTokenizerProgress } from "../prepare/train-tokenizer.js";
import { writeFileAtomic } from "../run/atomic.js";
import { interruptible } from "./interrupt.js";
import { shownPath } from "./paths.js";
import type { SetStatus } from "./program.js";

interface TrainTokenizerFlags {
  readonly vocabSize: number;
  readonly out: string;
  readonly minFrequency?: number;
  readonly documents?: number;
  readonly textColumn?: string;
  readonly separator?: string;
  readonly revision?: string;
  readonly files?: string;
  readonly overwrite?: true;
}

/** What is no number becomes NaN, which the check names. */
const number = (text: string) =>
  text.trim() === "" ? Number.NaN : Number(text.replaceAll("_", ""));
const count = (n: number) => n.toLocaleString("en-US");

/** The file to be written; a folder stands for its `tokenizer.json`. */
function outputFile(out: string, overwrite: boolean): string {
  const path = resolve(out);
  const file = statSync(path, { throwIfNoEntry: false })?.isDirectory()
    ? join(path, "tokenizer.json")
    : path;
  if (existsSync(file) && !overwrite) {
    throw new UsageError(`--out: ${file} is there already. Replace it with --overwrite.`);
  }
  return file;
}

/** `wavegpt train-tokenizer` */
export function addTrainTokenizerCommand(program: Command, setStatus: SetStatus): void {
  program
    .command("train-tokenizer")
    .description("Learn a byte-pair encoding from your own text, for --tokenizer.")
    .argument(
      "<SOURCE...>",
      "what wavegpt prepare takes: .txt, .jsonl or .parquet files, folders or globs, a dataset of the Hugging Face hub, or - for standard input",
    )
    .requiredOption("--vocab-size <N>", "Tokens in all, with the 256 bytes", number)
    .option("--out <FILE>", "The tokenizer, in Hugging Face's format", "tokenizer.json")
    .option("--min-frequency <N>", "Pairs that occur less often stay apart (default: 2)", number)
    .option("--documents <N>", "The first N documents (default: all)", number)
    .option("--text-column <NAME>", "Column or key that holds the text (default: text)")
    .option(
      "--separator <TEXT>",
      "What stands between documents of plain text (default: <|endoftext|>)",
    )
    .option("--revision <REV>", "A dataset's branch, tag or commit (default: main)")
    .option("--files <GLOB>", "Which files of a dataset (default: those of its split train)")
    .addOption(new Option("--overwrite", "Replace what is at --out"))
    .action(async (sources: string[], { out, overwrite, ...flags }: TrainTokenizerFlags) => {
      const file = outputFile(out, overwrite ?? false);
      const { trainTokenizer } = await import("../prepare/train-tokenizer.js");
      const say = (line: string) => process.stderr.write(`${line}\n`);
      const interrupt = interruptible(say, "Stopping.");
      const terminal = process.stderr.isTTY;
      const onProgress = ({ bytes, distinctWords }: TrainTokenizerProgress) => {
        const line = `${(bytes / 1e6).toFixed(0)} MB read, ${count(distinctWords)} different words`;
        if (terminal) process.stderr.write(`\r\u001b[K${line}`);
      };
      try {
        const { signal } = interrupt;
        const result = await trainTokenizer({
          sources,
          ...flags,
          signal,
          onProgress,
          onNotice: say,
        });
        if (terminal) process.stderr.write("\r\u001b[K");
        if (result === null) return setStatus(130);
        const { tokenizer, read } = result;
        writeFileAtomic(file, `${JSON.stringify(tokenizer)}\n`);
        process.stdout.write(
          `${count(tokenizer.vocabSize)} tokens, learnt from ${count(read.documents)} ${read.documents === 1 ? "document" : "documents"}, ${(read.bytes / 1e6).toFixed(1)} MB, ${count(read.distinctWords)} different words\nTokenizer: ${shownPath(file)}\n`,
        );
      } finally {
        interrupt.release();
      }
    });
}
