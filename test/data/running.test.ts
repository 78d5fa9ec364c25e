import { describe, expect, it } from "vitest";
import { torch } from "../../lib/index.js";
import { DataLoader, IGNORED_TARGET, RunningEvaluationLoader } from "../../src/data/index.js";
import { positions, rows } from "./text.js";

const shapes = [
  [1000, 4, 16],
  [999, 7, 13],
  [130, 32, 64],
  [65, 2, 64],
  [100, 3, 1],
  [301, 5, 20],
] as const;

describe("rows that run on", () => {
  it.each(shapes)(
    "count each target of %i tokens once a pass, and continue where they say so (batch %i, block %i)",
    (length, batchSize, blockSize) => {
      const tokens = positions(length);
      const loader = new DataLoader({ tokens, batchSize, blockSize, seed: 3, order: "running" });
      let ends = new Array<number>(batchSize).fill(-1);
      for (let pass = 0; pass < 8; pass++) {
        const counts = new Array<number>(length - 1).fill(0);
        let counted = 0;
        let continued = 0;
        let batches = 0;
        while (counted < length - 1) {
          using _ = torch.scope();
          const { x, y, targets, rowTargets, continues } = loader.next();
          const [xs, ys] = [rows(x), rows(y)];
          expect(ys.flat().filter((target) => target !== IGNORED_TARGET)).toHaveLength(targets);
          xs.forEach((row, r) => {
            const own = ys[r]!.filter((target) => target !== IGNORED_TARGET);
            expect(own).toHaveLength(rowTargets![r]!);
            // A target is the token after its own position, whatever stands in the filling.
            ys[r]!.forEach((target, i) => {
              if (target === IGNORED_TARGET) return;
              expect(target).toBe(row[i]! + 1);
              counts[target - 1]!++;
            });
            if (continues?.[r]) {
              expect(row[0]).toBe(ends[r]! + 1);
              continued++;
            }
          });
          ends = xs.map((row) => row[blockSize - 1]!);
          if (batches === 0) expect(continues).toBeNull();
          counted += targets;
          batches++;
        }
        expect(new Set(counts)).toEqual(new Set([1]));
        // All but the rows' first blocks, and the second of a text whose first was cut short.
        const blocks = Math.ceil((length - 1) / blockSize);
        expect(continued).toBeGreaterThanOrEqual(blocks - 2 * batchSize - 1);
        expect(loader.stepsPerEpoch).toBeLessThanOrEqual(batches);
        expect(batches).toBeLessThanOrEqual(loader.stepsPerEpoch + 1);
      }
    },
  );

  it("start at other places of the text, which move from pass to pass", () => {
    const options = { tokens: positions(4000), batchSize: 4, blockSize: 50, seed: 1 };
    const loader = new DataLoader({ ...options, order: "running" });
    const first = loader.nextBlocks().map(({ start }) => start);
    expect(first.map((start) => Math.round(start / 1000))).toEqual([0, 1, 2, 3]);
    const starts = new Set<number>();
    for (let step = 0; step < 2000; step++) starts.add(loader.nextBlocks()[1]!.start % 50);
    expect(starts.size).toBeGreaterThan(40);
  });
});

describe("the running evaluation", () => {
  it.each(shapes)(
    "counts each target of %i tokens once, after all that it depends on (batch %i, block %i)",
    (length, batchSize, blockSize) => {
      for (const reach of [1, 2, 40, 500]) {
        const loader = new RunningEvaluationLoader({
          tokens: positions(length),
          batchSize,
          blockSize,
          reach,
        });
        const counts = new Array<number>(length - 1).fill(0);
        let targets = 0;
        // The tokens that each row has read without a break.
        let known = new Array<number[]>(batchSize).fill([]);
        for (const { x, y, continues, targets: counted } of loader) {
          const [xs, ys] = [rows(x), rows(y)];
          known = xs.map((row, r) => (continues?.[r] ? [...known[r]!, ...row] : row));
          ys.forEach((row, r) => {
            row.forEach((target, i) => {
              if (target === IGNORED_TARGET) return;
              counts[target - 1]!++;
              const read = known[r]!.slice(0, known[r]!.length - blockSize + i + 1);
              const needed = Math.min(reach, target);
              const expected = Array.from({ length: needed }, (_, n) => target - needed + n);
              expect(read.slice(-needed)).toEqual(expected);
            });
          });
          targets += counted;
        }
        expect(new Set(counts)).toEqual(new Set([1]));
        expect([targets, loader.targets]).toEqual([length - 1, length - 1]);
      }
    },
  );

  it("may take the first blocks of each row only", () => {
    const loader = new RunningEvaluationLoader({
      tokens: positions(2001),
      batchSize: 5,
      blockSize: 10,
      reach: 31,
      maxBatches: 4,
    });
    expect([loader.batches, loader.targets]).toEqual([3 + 4, 5 * 4 * 10]);
    using _ = torch.scope();
    const counted = [...loader].map(({ targets }) => targets);
    expect(counted).toEqual([0, 0, 0, 50, 50, 50, 50]);
  });

  it("refuses options out of range", () => {
    const good = { tokens: positions(100), batchSize: 4, blockSize: 8, reach: 9 };
    const make = (change: object) => () => new RunningEvaluationLoader({ ...good, ...change });
    expect(make({ reach: 0 })).toThrow(/the reach must be .* got 0/);
    expect(make({ batchSize: 1.5 })).toThrow(/the batch size must be .* got 1.5/);
    expect(make({ maxBatches: -1 })).toThrow(/the largest number of batches must be .* got -1/);
    expect(() => new RunningEvaluationLoader(good).batch(99)).toThrow(/batch 99 does not exist/);
  });
});
