import { describe, expect, it } from "vitest";
import { readOptions } from "../../bench/options.js";
import { formatSpread, geometricMean, ratiosOf, spreadOf } from "../../bench/pairs/spread.js";
import { takeTurns } from "../../bench/pairs/turns.js";
import { isNamed } from "../../bench/step/configurations.js";
import { table } from "../../bench/table.js";

describe("what many measurements say", () => {
  it("has numpy's quartiles", () => {
    expect(spreadOf([4, 1, 3, 2])).toEqual({
      median: 2.5,
      lowerQuartile: 1.75,
      upperQuartile: 3.25,
      min: 1,
      max: 4,
    });
    expect(spreadOf([7]).median).toBe(7);
    expect(() => spreadOf([])).toThrow("at least one");
  });

  it("compares within a round, so that a slow round does not count", () => {
    const ratio = ratiosOf([1, 50, 1], [2, 100, 2]);
    expect([ratio.min, ratio.max]).toEqual([0.5, 0.5]);
    expect(() => ratiosOf([1], [1, 2])).toThrow("expected pairs, got 1 and 2");
  });

  it("is written as median and quartiles", () => {
    expect(formatSpread(spreadOf([1, 2, 3]), 1)).toBe("2.0 (1.5-2.5)");
    expect(geometricMean([0.5, 2])).toBeCloseTo(1, 12);
  });
});

it("lets the sides take turns, the order turning round", async () => {
  const order: string[] = [];
  const measured = await takeTurns(["a", "b"], 3, async (side, round) => {
    order.push(side + round);
    return order.length;
  });
  expect(order).toEqual(["a0", "b0", "b1", "a1", "a2", "b2"]);
  expect(measured).toEqual({ a: [1, 4, 5], b: [2, 3, 6] });
});

it("writes Markdown tables", () => {
  const lines = ["| what | n   |", "| ---- | --: |", "| a    |  10 |"];
  expect(
    table(["what", "n"], [["a", "10"]])
      .split("\n")
      .slice(1),
  ).toEqual(lines.slice(1));
});

describe("the command line", () => {
  it("takes parts and options", () => {
    expect(readOptions(["step", "--quick", "--rounds", "4", "--only", "gpt"])).toMatchObject({
      parts: ["step"],
      quick: true,
      rounds: 4,
      only: "gpt",
    });
    expect(readOptions([])?.parts).toEqual(["overhead", "step"]);
    expect(readOptions(["--help"])).toBeNull();
    expect(readOptions(["report", "before.json", "after.json"])?.report).toEqual([
      "before.json",
      "after.json",
    ]);
  });

  it("says what it expected", () => {
    expect(() => readOptions(["steps"])).toThrow("expected a part among");
    expect(() => readOptions(["--rounds", "0"])).toThrow("--rounds: expected a whole number");
  });

  it("finds a training by words of its name", () => {
    const gpt = { name: "gpt float32" } as Parameters<typeof isNamed>[0];
    const wavegpt = { ...gpt, name: "wavegpt float32" };
    expect([gpt, wavegpt].map((one) => isNamed(one, "gpt"))).toEqual([true, false]);
    expect([gpt, wavegpt].map((one) => isNamed(one, "float32"))).toEqual([true, true]);
    expect([gpt, wavegpt].map((one) => isNamed(one, ""))).toEqual([true, true]);
  });
});
