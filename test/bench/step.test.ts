import { describe, expect, it } from "vitest";
import { fillPage, type Saved } from "../../bench/report.js";
import { lineThrough } from "../../bench/scaling/line.js";
import type { Entrant } from "../../bench/step/bench.js";
import { bestOf } from "../../bench/step/best.js";
import { configurationsNamed } from "../../bench/step/configurations.js";

function entrant(
  side: Entrant["side"],
  dtype: Entrant["dtype"],
  milliseconds: number[],
  peak: number,
): Entrant {
  return { side, dtype, milliseconds, memory: [{ libraries: 100, peak }] };
}

describe("the best setting of each side", () => {
  const entrants = [
    entrant("TypeScript", "float32", [40, 41, 42], 300),
    entrant("TypeScript", "bfloat16", [30, 31, 200], 200),
    entrant("PyTorch eager", "float32", [140, 141, 142], 600),
    entrant("PyTorch eager", "bfloat16", [100, 62, 100], 500),
    entrant("torch.compile", "float32", [80, 80, 80], 700),
    entrant("torch.compile", "bfloat16", [90, 90, 90], 700),
  ];

  it("is the precision with the shortest median step, which need not be the same", () => {
    const { dtype, against } = bestOf(entrants, 65);
    expect([dtype, against["PyTorch eager"]!.dtype, against["torch.compile"]!.dtype]).toEqual([
      "bfloat16",
      "bfloat16",
      "float32",
    ]);
  });

  it("is compared by medians, round by round, and by memory", () => {
    const eager = bestOf(entrants, 65).against["PyTorch eager"]!;
    expect(eager.time).toBeCloseTo(0.31, 12);
    expect(eager.byRound).toMatchObject({ min: 0.3, median: 0.5, max: 2 });
    expect([eager.memory, eager.memoryGrowth]).toEqual([0.4, 0.25]);
    expect(eager.goal).toEqual({ time: 0.35 });
    expect(bestOf(entrants, 100).against["PyTorch eager"]!.goal).toEqual({});
  });

  it("says nothing where we were not measured", () => {
    expect(bestOf(entrants.slice(2), 65)).toEqual({ dtype: null, against: {} });
  });
});

describe("a line", () => {
  it("goes through points that lie on one", () => {
    const { fixed, each } = lineThrough([1, 2, 4], [5, 7, 11]);
    expect([fixed, each]).toEqual([expect.closeTo(3, 9), expect.closeTo(2, 9)]);
  });

  it("minds relative distances: a large size does not outweigh the small ones", () => {
    const sizes = [1, 2, 4, 8];
    const { fixed, each } = lineThrough(sizes, [1, 2, 4, 12]);
    const relative = sizes.map((size, at) => (fixed + each * size) / [1, 2, 4, 12][at]! - 1);
    expect(Math.max(...relative.map(Math.abs))).toBeLessThan(0.3);
  });

  it("wants three points", () => {
    expect(() => lineThrough([1, 2], [1, 2])).toThrow("at least 3 sizes");
  });
});

it("names trainings by model, vocabulary and precision", () => {
  expect(configurationsNamed("gpt 50304").map(({ name }) => name)).toEqual([
    "gpt 50304 float32",
    "gpt 50304 bfloat16",
  ]);
  expect(() => configurationsNamed("gpt2")).toThrow(
    "expected words of a name among gpt 65 float32",
  );
});

describe("a page's tables", () => {
  const page =
    "a\n<!-- bench: outside -->\nold\n<!-- end -->\nb\n<!-- bench: step -->\nkept\n<!-- end -->\n";
  const sampled = {
    step: 30,
    mainThread: { "JavaScript and Node": 0.5, binding: 0.1, kernels: 29.4 },
    outside: 0.02,
    outsideAtMost: 0.025,
    works: [],
    symbols: [],
    nameless: false,
  };
  const profile = {
    threads: 2,
    results: [{ name: "gpt 65 float32", sampled: { TypeScript: sampled } }],
  };
  const saved = { profile } as unknown as Saved;

  it("are made anew where they were measured, and stay where not", () => {
    const filled = fillPage(page, [saved]);
    expect(filled).toMatch(/^a\n<!-- bench: outside -->\n\| training/);
    expect(filled).toMatch(/\| +2\.0 % \|/);
    expect(filled).not.toContain("old");
    expect(filled).toContain("b\n<!-- bench: step -->\nkept\n<!-- end -->\n");
    expect(fillPage(filled, [saved])).toBe(filled);
  });

  it("take each training from the last file that measured it", () => {
    const lonely = { ...profile.results[0], name: "wavegpt 65 float32" };
    const files = [saved, { profile: { ...profile, results: [lonely] } } as unknown as Saved];
    const filled = fillPage(page, files);
    expect(filled).toMatch(/gpt 65 float32[\s\S]*wavegpt 65 float32/);
  });

  it("have names that are known", () => {
    expect(() => fillPage(page.replace("outside", "inside"), [saved])).toThrow("no table inside");
  });
});
