import { type Command, Option } from "commander";
import type { PrepareOptions } from "../prepare/index.js";
import { interruptible } from "./interrupt.js";
import { shellWord, shownPath } from "./paths.js";
import { prepareReporter } from "./prepare-reporter.js";
import type { SetStatus } from "./program.js";

interface PrepareFlags {
  readonly documents?: number;
  readonly tokenizer?: string;
  readonly out?: string;
  readonly validation?: number;
  readonly textColumn?: string;
  readonly separator?: string;
  readonly shardTokens?: number;
  readonly revision?: string;
  readonly files?: string;
  readonly workers?: number;
  readonly resume?: true;
  readonly overwrite?: true;
  readonly json?: true;
}

/** What is no number becomes NaN, which the check names. */
const number = (text: string) =>
  text.trim() === "" ? Number.NaN : Number(text.replaceAll("_", ""));

/** `wavegpt prepare` */
export function addPrepareCommand(program: Command, setStatus: SetStatus): void {
  const command = program
    .command("prepare")
    .description("Turn text into shards of tokens, for wavegpt train --data.")
    .argument(
      "<SOURCE...>",
      "openwebtext, a dataset of the Hugging Face hub (owner/name), .txt, .jsonl or .parquet files, folders or globs, or - for standard input",
    )
    .option("--documents <N>", "The first N documents (default: all)", number)
    .option("--tokenizer <gpt2|FILE>", "GPT-2's, or a tokenizer.json (default: gpt2)")
    .option("--out <DIR>", "Folder of the shards (default: data/ and the source's name)")
    .option("--validation <P>", "Share of the documents held out (default: 0.01)", number)
    .option("--text-column <NAME>", "Column or key that holds the text (default: text)")
    .option(
      "--separator <TEXT>",
      "What stands between documents of plain text (default: <|endoftext|>)",
    )
    .option("--shard-tokens <N>", "Tokens of a shard (default: 100,000,000)", number)
    .option("--revision <REV>", "A dataset's branch, tag or commit (default: main)")
    .option("--files <GLOB>", "Which files of a dataset (default: those of its split train)")
    .option("--workers <N>", "Threads that encode (default: one a core)", number);
  for (const option of [
    new Option("--resume", "Go on with what was interrupted"),
    new Option("--overwrite", "Replace what is in --out"),
    new Option("--json", "Print one JSON object a line"),
  ]) {
    command.addOption(option);
  }
  command.action(async (sources: string[], { json, ...flags }: PrepareFlags) => {
    const { prepare } = await import("../prepare/index.js");
    const reporter = prepareReporter(json ?? false);
    const interrupt = interruptible(
      reporter.notice,
      "Saving; once more stops at once, which --resume can go on with, too.",
    );
    const options: PrepareOptions = { sources, ...flags, signal: interrupt.signal };
    try {
      const result = await prepare({ ...options, onEvent: reporter.event });
      if (!result.finished) {
        reporter.print(
          `Go on with the same command and --resume (${shellWord(shownPath(result.out))}).`,
        );
        setStatus(130);
      }
    } finally {
      interrupt.release();
      reporter.close();
    }
  });
}
