import { expect, it } from "vitest";
import { ratiosOf } from "../../bench/pairs/spread.js";
import { formatTokenizer } from "../../bench/tokenizer/format.js";

function result(text: string, threads: number, ours: number[], theirs: number[]) {
  const ratio = ratiosOf(ours, theirs);
  return { text, megabytes: 2, tokens: 5, threads, ours, theirs, ratio };
}

it("names the texts that are slower than tiktoken's, and says what threads bring", () => {
  const text = formatTokenizer({
    versions: { tiktoken: "0.14.0", tokenizers: "0.23.3", python: "3.11.7" },
    rounds: 3,
    encode: [
      result("prose", 1, [40, 80, 40], [10, 20, 10]),
      result("spaces", 1, [5, 5, 5], [10, 10, 10]),
    ],
    batch: [
      result("prose", 1, [40, 40, 40], [20, 20, 20]),
      result("prose", 4, [120, 140, 120], [60, 60, 60]),
    ],
    prepare: {
      ...{ text: "prose", megabytes: 20, workers: [1, 4] },
      seconds: [
        [4, 4, 4],
        [2, 2, 1],
      ],
    },
    train: {
      ...{ text: "prose", megabytes: 2, vocabSize: 500, ours: [1, 2, 1], theirs: [3, 6, 3] },
      ratio: ratiosOf([3, 6, 3], [1, 2, 1]),
    },
  });
  expect(text).toMatch(/prose +\| +2\.0 +\| +40\.0 +\| +10\.0 +\| +4\.00 \(4\.00-4\.00\)/);
  expect(text).toContain("Geometric mean of the ratios: 1.41.");
  expect(text).toContain("reached by 1 of 2, not by spaces.");
  expect(text).toMatch(/\n\| prose \| +4 \| +3\.00 \(3\.00-3\.25\) \| 3\.00 \(3\.00-3\.00\) \|/);
  expect(text).toMatch(
    /\n\| 4 +\| +2\.00 \(1\.50-2\.00\) +\| +10\.0 +\| +2\.00 \(2\.00-3\.00\) \|/,
  );
  expect(text).toContain("1.00 s by `BPETokenizer.train`, 3.00 s by");
  expect(text).toContain("3.0 (3.0-3.0) times as fast.");
});
