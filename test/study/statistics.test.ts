import { describe, expect, it } from "vitest";
import { estimate, pairedDifference, tQuantile, tWithin } from "../../src/study/statistics.js";
import { python } from "../python.js";

describe("Student's t", () => {
  it("agrees with mpmath's incomplete beta function", () => {
    const cases = [1, 2, 3, 4, 5, 9, 10, 29, 30].flatMap((degrees) =>
      [0.1, 1, 2.5, 12].map((x) => [x, degrees] as const),
    );
    const expected = JSON.parse(
      python(
        `import json, sys
from mpmath import betainc
print(json.dumps([float(1 - betainc(n / 2, 0.5, 0, n / (n + x * x), regularized=True)) for x, n in json.loads(sys.argv[1])]))`,
        JSON.stringify(cases),
      ),
    ) as number[];
    cases.forEach(([x, degrees], i) => {
      expect(tWithin(x, degrees)).toBeCloseTo(expected[i]!, 12);
    });
  });

  it("has the quantiles of the printed tables", () => {
    for (const [degrees, quantile] of [
      [1, 12.706],
      [2, 4.303],
      [3, 3.182],
      [4, 2.776],
      [9, 2.262],
      [30, 2.042],
    ] as const) {
      expect(tQuantile(0.95, degrees)).toBeCloseTo(quantile, 3);
    }
  });
});

describe("an estimate", () => {
  it("is a mean and the t interval's half", () => {
    const { mean, margin, count } = estimate([1.7, 1.8, 1.75])!;
    expect(mean).toBeCloseTo(1.75, 12);
    // s = 0.05, so s / sqrt(3) * t(2) = 0.028868 * 4.302653
    expect(margin).toBeCloseTo(0.124207, 6);
    expect(count).toBe(3);
  });

  it("has no interval for one value, and is nothing for none", () => {
    expect(estimate([2])).toEqual({ mean: 2, margin: null, count: 1 });
    expect(estimate([])).toBeNull();
  });

  it("of paired differences leaves out what both have in common", () => {
    const a = new Map([1, 2, 3, 9].map((seed) => [seed, 10 * seed]));
    const b = new Map([1, 2, 3].map((seed) => [seed, 10 * seed + 0.5]));
    const { mean, margin, count } = pairedDifference(a, b)!;
    expect([mean, count]).toEqual([-0.5, 3]);
    expect(margin).toBeCloseTo(0, 12);
  });
});
