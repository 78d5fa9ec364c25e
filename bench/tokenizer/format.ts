import { formatSpread, geometricMean, ratiosOf, spreadOf } from "../pairs/spread.js";
import { table } from "../table.js";
import { DOCUMENT, type EncodeResult, speedOf, type TokenizerReport } from "./bench.js";
import type { PrepareResult } from "./prepare.js";

function rows(results: readonly EncodeResult[], withThreads: boolean): string[][] {
  return results.map(({ text, megabytes, threads, ours, theirs, ratio }) => [
    text,
    megabytes.toFixed(1),
    ...(withThreads ? [String(threads)] : []),
    speedOf(ours).toFixed(1),
    speedOf(theirs).toFixed(1),
    formatSpread(ratio, 2),
  ]);
}

/** A text at a time, by one thread. */
export function encodeTable({ encode }: TokenizerReport): string {
  return table(["text", "MB", "TypeScript MB/s", "tiktoken MB/s", "ratio"], rows(encode, false));
}

/** Batches of documents, by the number of threads. */
export function batchTable({ batch }: TokenizerReport): string {
  return table(
    ["text", "MB", "threads", "TypeScript MB/s", "tiktoken MB/s", "ratio"],
    rows(batch, true),
  );
}

/** What several threads bring over one, on both sides. */
export function threadsTable({ batch }: TokenizerReport): string {
  const pairs = batch.flatMap((one) => {
    const several = batch.find(({ text, threads }) => text === one.text && threads > one.threads);
    return one.threads === 1 && several !== undefined ? [{ one, several }] : [];
  });
  return table(
    ["text", "threads", "TypeScript, times as fast as one", "tiktoken"],
    pairs.map(({ one, several }) => [
      one.text,
      String(several.threads),
      formatSpread(ratiosOf(several.ours, one.ours), 2),
      formatSpread(ratiosOf(several.theirs, one.theirs), 2),
    ]),
  );
}

/** `wavegpt prepare` by the number of its workers. */
export function prepareTable({ megabytes, workers, seconds }: PrepareResult): string {
  return table(
    ["workers", "s", "MB/s", "times as fast as one"],
    workers.map((count, i) => [
      String(count),
      formatSpread(spreadOf(seconds[i]!), 2),
      (megabytes / speedOf(seconds[i]!)).toFixed(1),
      formatSpread(ratiosOf(seconds[0]!, seconds[i]!), 2),
    ]),
  );
}

export function formatTokenizer(report: TokenizerReport): string {
  const { versions, rounds, encode, batch, prepare, train } = report;
  const slower = encode.filter(({ ratio }) => ratio.median < 1);
  const lines = [
    "## Tokenizer\n",
    `GPT-2's tokens, of a string: \`GPT2Tokenizer.encode\` and tiktoken ${versions.tiktoken}'s \`encode_ordinary\` (Python ${versions.python}), one thread each, ${rounds} rounds in turns. MB/s are medians; ratio: median (quartiles) of the rounds' ratios, above 1 where TypeScript is faster. Both give the same number of tokens.\n`,
    encodeTable(report),
    "",
    `Geometric mean of the ratios: ${geometricMean(encode.map(({ ratio }) => ratio.median)).toFixed(2)}. Target: at least 1; reached by ${encode.length - slower.length} of ${encode.length}${slower.length === 0 ? "" : `, not by ${slower.map(({ text }) => text).join(", ")}`}.`,
  ];
  if (batch.length > 0) {
    lines.push(
      `\nThe same in documents of ${DOCUMENT} characters: \`encodeBatch\` and \`encode_ordinary_batch\`; with special tokens, each begins with one (\`encode_batch\`).\n`,
      batchTable(report),
      "",
      threadsTable(report),
    );
  }
  if (prepare !== null) {
    const { text, megabytes } = prepare;
    lines.push(
      `\n\`wavegpt prepare\`, ${megabytes.toFixed(0)} MB (${text}, again and again), the program's start among it:\n`,
      prepareTable(prepare),
    );
  }
  if (train !== null) {
    lines.push(
      `\nLearning ${train.vocabSize} tokens from ${train.text} (${train.megabytes.toFixed(1)} MB), pairs that occur twice and more: ${speedOf(train.ours).toFixed(2)} s by \`BPETokenizer.train\`, ${speedOf(train.theirs).toFixed(2)} s by Python's tokenizers ${versions.tokenizers}; ${formatSpread(train.ratio, 1)} times as fast.`,
    );
  }
  return lines.join("\n");
}
