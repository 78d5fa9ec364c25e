import { expect, it } from "vitest";
import { formatOverhead } from "../../bench/overhead/bench.js";
import { ratiosOf } from "../../bench/pairs/spread.js";

function result(name: string, ours: number[], theirs: number[], floors: [number[], number[]]) {
  const [ourFloor, theirFloor] = floors;
  const ratio = ratiosOf(ours, theirs);
  return { typescript: name, python: name, ours, theirs, ourFloor, theirFloor, ratio };
}

it("says what each language adds to a call from C++, by the rounds' own differences", () => {
  const text = formatOverhead({
    versions: { libtorch: "2.13.0", python: "3.11.7" },
    starts: 1,
    rounds: 3,
    results: [
      // The slow round is slow for all, and makes no difference.
      result(
        "x + y",
        [400, 4000, 400],
        [1000, 10000, 1000],
        [
          [300, 3900, 300],
          [500, 9500, 500],
        ],
      ),
      result(
        "x + 1",
        [900, 900, 900],
        [1000, 1000, 1000],
        [
          [1000, 1000, 1000],
          [700, 700, 700],
        ],
      ),
    ],
  });
  expect(text).toMatch(/`x \+ y` +\| +400 +\| +1000 +\| +0\.40 \(0\.40-0\.40\)/);
  expect(text).toMatch(/300 \/ 500 +\| +100 +\| +500 +\|/);
  expect(text).toMatch(/1000 \/ 700 +\| +-100 +\| +300 +\|/);
  expect(text).toContain("Geometric mean of the ratios: 0.60.");
  expect(text).toContain("reached by 1 of 2, not by `x + 1`");
  expect(text).toContain("a geometric mean of 0.55 of Python's");
  expect(text).toContain("0 ns by TypeScript, 400 ns by Python: a ratio of 0.00.");
});
