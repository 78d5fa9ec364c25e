import os from "node:os";
import { describe, expect, it } from "vitest";
import { placements, threadsTable } from "../../bench/scaling/format.js";
import { coreRoundTrip } from "../../bench/scaling/round-trip.js";

describe("how far cores are from each other", () => {
  it.runIf(os.availableParallelism() > 1)("is measured in nanoseconds", async () => {
    const nanoseconds = await coreRoundTrip();
    // Less than one round trip of light through a chip, or more than a switch of threads, is no cache line's.
    expect(nanoseconds).toBeGreaterThan(1);
    expect(nanoseconds).toBeLessThan(20_000);
  });

  it("tells rounds apart where it changed, and only there", () => {
    expect(placements([80, 90, 85], 3)).toEqual([{ title: "all", rounds: [0, 1, 2] }]);
    expect(placements([], 2)).toEqual([{ title: "all", rounds: [0, 1] }]);
    expect(placements([410, 90, 85, 400], 4)).toEqual([
      { title: "all", rounds: [0, 1, 2, 3] },
      { title: "cores near", rounds: [1, 2] },
      { title: "cores far", rounds: [0, 3] },
    ]);
  });

  it("has rows of its own in the table, each with its rounds' ratios", () => {
    const threads = {
      ...{ threads: 2, one: [40, 40], all: [26.7, 22], apart: [42, 42] },
      roundTrips: [410, 90],
    };
    const results = [{ name: "wavegpt 65 bfloat16", rounds: 2, threads, dimensions: [] }];
    const [, , ...rows] = threadsTable({ threads: 2, results })!.split("\n");
    const cells = rows.map((row) => row.split("|").map((cell) => cell.trim()));
    expect(cells.map((row) => row[3])).toEqual(["all (2)", "cores near (1)", "cores far (1)"]);
    expect(cells.map((row) => row[8]!.slice(0, 4))).toEqual(["1.66", "1.82", "1.50"]);
    expect(cells.map((row) => row[10])).toEqual([
      "not reached (1.8)",
      "reached (1.8)",
      "not reached (1.8)",
    ]);
  });
});
