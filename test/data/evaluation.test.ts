import { describe, expect, it } from "vitest";
import { torch } from "../../lib/index.js";
import { EvaluationLoader, IGNORED_TARGET } from "../../src/data/index.js";
import { positions, rows } from "./text.js";

describe("EvaluationLoader", () => {
  it.each([
    [1000, 4, 16],
    [999, 7, 13],
    [130, 32, 64],
    [65, 2, 64],
    [100, 3, 1],
  ])(
    "predicts each target of %i tokens once (batch %i, block %i)",
    (length, batchSize, blockSize) => {
      const loader = new EvaluationLoader({ tokens: positions(length), batchSize, blockSize });
      const counts = new Array<number>(length - 1).fill(0);
      let batches = 0;
      let targets = 0;
      let from = -1;
      for (const batch of loader) {
        using _ = torch.scope();
        const [xs, ys] = [rows(batch.x), rows(batch.y)];
        expect(batch.rows).toBe(xs.length);
        expect(batch.rows === batchSize || batches === loader.batches - 1).toBe(true);
        ys.forEach((row, r) => {
          row.forEach((target, i) => {
            if (target === IGNORED_TARGET) return;
            expect(target).toBe(xs[r]![i]! + 1);
            counts[target - 1]!++;
            // In document order.
            expect(target).toBeGreaterThan(from);
            from = target;
          });
        });
        batches++;
        targets += batch.targets;
      }
      expect(new Set(counts)).toEqual(new Set([1]));
      expect(batches).toBe(loader.batches);
      expect(targets).toBe(length - 1);
      expect(loader.targets).toBe(length - 1);
    },
  );

  it("has true previous context, none for the first block", () => {
    using _ = torch.scope();
    const loader = new EvaluationLoader({ tokens: positions(100), batchSize: 3, blockSize: 10 });
    const { previous, previousMask } = loader.batch(0);
    const mask = previousMask!.tolist() as boolean[][];
    expect(mask.map((row) => row.every(Boolean))).toEqual([false, true, true]);
    expect(mask[0]!.some(Boolean)).toBe(false);
    expect(rows(previous)[2]).toEqual([10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
    expect(loader.batch(1).previousMask).toBeNull();
  });

  it("takes a fixed sample, the same every time and another for another seed", () => {
    const make = (seed: number, maxBlocks: number | null) =>
      new EvaluationLoader({
        tokens: positions(2000),
        batchSize: 4,
        blockSize: 10,
        maxBlocks,
        seed,
      });
    const starts = (loader: EvaluationLoader) =>
      torch.tidy(() => [...loader].flatMap((batch) => rows(batch.x).map((row) => row[0]!)));
    const sample = make(1, 18);
    expect([sample.batches, sample.targets]).toEqual([5, 180]);
    const first = starts(sample);
    expect(first.length).toBe(18);
    expect(new Set(first).size).toBe(18);
    expect(first).toEqual([...first].sort((a, b) => a - b));
    expect(starts(sample)).toEqual(first);
    expect(starts(make(1, 18))).toEqual(first);
    expect(starts(make(2, 18))).not.toEqual(first);
    expect(starts(make(1, 500))).toEqual(starts(make(1, null)));
  });

  it("refuses what it cannot do, with what was expected and what came", () => {
    const good = { tokens: positions(100), batchSize: 4, blockSize: 8 };
    const cases: [object, RegExp][] = [
      [{ tokens: positions(5) }, /5 tokens is too short for blocks of 8: it needs at least 9/],
      [{ batchSize: 0 }, /the batch size must be a positive whole number, got 0/],
      [{ maxBlocks: 0 }, /the largest number of blocks must be a positive whole number, got 0/],
    ];
    for (const [change, message] of cases) {
      expect(() => new EvaluationLoader({ ...good, ...change })).toThrow(message);
    }
    const loader = new EvaluationLoader(good);
    expect(() => loader.batch(4)).toThrow(/batch 4 does not exist: expected 0 to 3/);
  });
});
