import { formatSpread, geometricMean, ratiosOf, spreadOf } from "../pairs/spread.js";
import { table } from "../table.js";
import { DOCUMENT, type EncodeResult, speedOf, type TokenizerReport } from "./bench.js";

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

export function formatTokenizer({
  versions,
  rounds,
  encode,
  batch,
  prepare,
  train,
}: TokenizerReport): string {
  const slower = encode.filter(({ ratio }) => ratio.median < 1);
  const lines = [
    "## Tokenizer\n",
    `GPT-2's tokens, of a string: \`GPT2Tokenizer.encode\` and tiktoken ${versions.tiktoken}'s \`encode_ordinary\` (Python ${versions.python}), one thread each, ${rounds} rounds in turns. MB/s are medians; ratio: median (quartiles) of the rounds' ratios, above 1 where TypeScript is faster. Both give the same number of tokens.\n`,
    table(["text", "MB", "TypeScript MB/s", "tiktoken MB/s", "ratio"], rows(encode, false)),
    "",
    `Geometric mean of the ratios: ${geometricMean(encode.map(({ ratio }) => ratio.median)).toFixed(2)}. Target: at least 1; reached by ${encode.length - slower.length} of ${encode.length}${slower.length === 0 ? "" : `, not by ${slower.map(({ text }) => text).join(", ")}`}.`,
  ];
  if (batch.length > 0) {
    lines.push(
      `\nThe same in documents of ${DOCUMENT} characters: \`encodeBatch\` and \`encode_ordinary_batch\`.\n`,
      table(
        ["text", "MB", "threads", "TypeScript MB/s", "tiktoken MB/s", "ratio"],
        rows(batch, true),
      ),
    );
    for (const one of batch.filter(({ threads }) => threads === 1)) {
      const several = batch.find(({ text, threads }) => text === one.text && threads > 1);
      if (several === undefined) continue;
      const faster = formatSpread(ratiosOf(several.ours, one.ours), 2);
      const theirs = formatSpread(ratiosOf(several.theirs, one.theirs), 2);
      lines.push(
        "",
        `${one.text}: with ${several.threads} threads ours is ${faster} times as fast as with one, tiktoken ${theirs}.`,
      );
    }
  }
  if (prepare !== null) {
    const { text, megabytes, workers, seconds } = prepare;
    lines.push(
      `\n\`wavegpt prepare\`, ${megabytes.toFixed(0)} MB (${text}, again and again), the program's start among it:\n`,
      table(
        ["workers", "s", "MB/s", "times as fast"],
        workers.map((count, i) => [
          String(count),
          formatSpread(spreadOf(seconds[i]!), 2),
          (megabytes / speedOf(seconds[i]!)).toFixed(1),
          formatSpread(ratiosOf(seconds[0]!, seconds[i]!), 2),
        ]),
      ),
    );
  }
  if (train !== null) {
    lines.push(
      `\nLearning ${train.vocabSize} tokens from ${train.text} (${train.megabytes.toFixed(1)} MB), pairs that occur twice and more: ${speedOf(train.ours).toFixed(2)} s by \`BPETokenizer.train\`, ${speedOf(train.theirs).toFixed(2)} s by Python's tokenizers ${versions.tokenizers}; ${formatSpread(train.ratio, 1)} times as fast.`,
    );
  }
  return lines.join("\n");
}
