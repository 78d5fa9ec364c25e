import { describe, expect, it } from "vitest";
import { formatDuration, formatLoss, formatRate, formatShort } from "../../src/report/format.js";
import { type RunSummary, spread } from "../../src/report/summary.js";
import { htmlTable, summaryTable, textTable } from "../../src/report/table.js";

const run = (more: Partial<RunSummary>): RunSummary => ({
  ...{ label: "GPT", model: "gpt", seed: 1, parameters: 816_193, steps: 4360 },
  ...{ trainLoss: 1.5, bestLoss: 1.6, bestStep: 4000, bestBits: 2.3, lastLoss: 1.7, alpha: null },
  ...{ tokensPerSecond: 11_000, seconds: 830 },
  ...more,
});

describe("the summary's table", () => {
  it("lines up in a terminal", () => {
    const text = textTable(
      summaryTable([run({}), run({ label: "WaveGPT", model: "wavegpt", alpha: 0.75 })]),
    );
    const lines = text.split("\n");
    expect(lines).toHaveLength(4);
    expect(lines[0]).toMatch(
      /^Run +Parameters +Steps +Train loss +Held-out loss +Bits\/char .* Time$/,
    );
    expect(lines[2]).toMatch(
      /^GPT +816,193 +4,360 +1\.5000 +1\.6000 +2\.3000 +4,000 +1\.7000 +– +11,000 +13 min 50 s$/,
    );
    expect(new Set(lines.map((line) => line.length)).size).toBe(1);
  });

  it("has means and deviations where a model has several seeds", () => {
    const { rows } = summaryTable([run({ bestLoss: 1.5 }), run({ seed: 2, bestLoss: 1.7 })]);
    expect(rows[2]![0]).toBe("GPT, mean of 2");
    expect(rows[2]![4]).toBe("1.6000 ± 0.1414");
    expect(summaryTable([run({}), run({ model: "wavegpt" })]).rows).toHaveLength(2);
  });

  it("is escaped on a page", () => {
    const html = htmlTable({ columns: ["<b>"], rows: [["<i>", "&"]] }, '"caption"');
    expect(html).toContain("&lt;b&gt;");
    expect(html).toContain("&lt;i&gt;");
    expect(html).toContain("<td>&amp;</td>");
    expect(html).not.toMatch(/<[bi]>/);
  });
});

it.each([
  [[], null],
  [[2, null], { mean: 2, deviation: null }],
  [[1, 2, 3], { mean: 2, deviation: 1 }],
])("spread of %o", (values, expected) => {
  expect(spread(values)).toEqual(expected);
});

it("numbers are short and exact enough", () => {
  expect([0, 3e-4, 2.9999999999999997e-5, 0.01, 1.25, 1e-8].map(formatRate)).toEqual([
    ...["0", "3e-4", "3e-5", "0.01", "1.25", "1e-8"],
  ]);
  expect([950, 9999, 12_345, 1_240_000].map(formatShort)).toEqual([
    "950",
    "9,999",
    "12.3k",
    "1.24M",
  ]);
  expect([8, 59.6, 200, 7500].map(formatDuration)).toEqual([
    "8 s",
    "1 min 00 s",
    "3 min 20 s",
    "2 h 05 min",
  ]);
  expect(formatLoss(1.46972)).toBe("1.4697");
});
