import { describe, expect, it } from "vitest";
import { torch } from "../../lib/index.js";
import {
  type Block,
  DataLoader,
  type DataLoaderState,
  DRAW_ORDERS,
  type DrawOrder,
  IGNORED_TARGET,
  splitTokens,
} from "../../src/data/index.js";
import { Random } from "../../src/data/random.js";
import { positions, rows } from "./text.js";

function drawBlocks(loader: DataLoader, steps: number): Block[] {
  return Array.from({ length: steps }, () => loader.nextBlocks()).flat();
}

/** How often each of a text's targets is counted. */
function countTargets(blocks: Iterable<Block>, tokens: number): Uint32Array {
  const counts = new Uint32Array(tokens - 1);
  for (const { from, to } of blocks) for (let j = from; j < to; j++) counts[j]!++;
  return counts;
}

describe("Random", () => {
  it("is xoshiro128**", () => {
    const random = new Random(0);
    random.setState([1, 2, 3, 4]);
    // The algorithm's own recurrence from the state 1, 2, 3, 4, worked out with wide integers.
    const mask = 0xffffffffn;
    const rotate = (x: bigint, k: bigint) => ((x << k) | (x >> (32n - k))) & mask;
    const s: [bigint, bigint, bigint, bigint] = [1n, 2n, 3n, 4n];
    for (let i = 0; i < 1000; i++) {
      const expected = (rotate((s[1] * 5n) & mask, 7n) * 9n) & mask;
      const shifted = (s[1] << 9n) & mask;
      s[2] ^= s[0];
      s[3] ^= s[1];
      s[1] ^= s[2];
      s[0] ^= s[3];
      s[2] ^= shifted;
      s[3] = rotate(s[3], 11n);
      expect(random.uint32()).toBe(Number(expected));
    }
    expect(random.state()).toEqual(s.map(Number));
  });

  it("gives each seed its own stream, high words included", () => {
    const first = (seed: number) => new Random(seed).uint32();
    const seeds = [0, 1, 2, 2 ** 32, 2 ** 32 + 1, 2 ** 33, 2 ** 53 - 1];
    expect(new Set(seeds.map(first)).size).toBe(seeds.length);
    expect(first(7)).toBe(first(7));
  });

  it("permutes evenly", () => {
    const random = new Random(1);
    const counts = Array.from({ length: 5 }, () => new Array<number>(5).fill(0));
    for (let i = 0; i < 20_000; i++) {
      const order = random.permutation(5);
      expect([...order].sort()).toEqual([0, 1, 2, 3, 4]);
      order.forEach((value, at) => {
        counts[at]![value]!++;
      });
    }
    // Expected 4000, standard deviation 57: five of those.
    for (const count of counts.flat()) expect(Math.abs(count - 4000)).toBeLessThan(285);
  });
});

describe("DataLoader, shuffled", () => {
  it.each([
    [1000, 1, 7],
    [257, 8, 64],
    [200, 3, 16],
    [65, 4, 64],
    [17, 5, 1],
    [2, 2, 1],
  ])(
    "counts each of %i tokens' targets once a pass (batch %i, block %i)",
    (length, batchSize, blockSize) => {
      const loader = new DataLoader({ tokens: positions(length), batchSize, blockSize, seed: 3 });
      // Blocks of a pass: the stream is cut where every target has been counted once more.
      const stream: Block[] = [];
      for (let pass = 1; pass <= 12; pass++) {
        let counted = 0;
        const blocks: Block[] = [];
        while (counted < length - 1) {
          if (stream.length === 0) stream.push(...loader.nextBlocks());
          const block = stream.shift()!;
          blocks.push(block);
          counted += block.to - block.from;
        }
        expect([...new Set(countTargets(blocks, length))]).toEqual([1]);
        for (const { start, from, to } of blocks) {
          expect(start).toBeGreaterThanOrEqual(0);
          expect(start + blockSize + 1).toBeLessThanOrEqual(length);
          expect(from).toBeGreaterThanOrEqual(start);
          expect(to).toBeLessThanOrEqual(start + blockSize);
        }
      }
    },
  );

  it("moves the blocks' boundaries from pass to pass", () => {
    const blockSize = 8;
    const loader = new DataLoader({ tokens: positions(400), batchSize: 1, blockSize, seed: 0 });
    const starts = new Set(drawBlocks(loader, 60 * loader.stepsPerEpoch).map(({ start }) => start));
    expect(starts.size).toBe(400 - blockSize);
  });

  it("has 436 steps of 32 x 64 in an epoch of Tiny Shakespeare's 80 %", () => {
    const { train, val } = splitTokens(positions(1_115_394));
    expect([train.length, val.length]).toEqual([892_315, 223_079]);
    const loader = new DataLoader({ tokens: train, batchSize: 32, blockSize: 64, seed: 1 });
    expect(loader.stepsPerEpoch).toBe(436);
    const counts = countTargets(drawBlocks(loader, 4360), train.length);
    expect([loader.step, loader.epoch]).toEqual([4360, 10]);
    // 4360 full batches of ten passes: no target counted less than nine or more than eleven times.
    const seen = new Set(counts);
    expect(Math.min(...seen)).toBeGreaterThanOrEqual(9);
    expect(Math.max(...seen)).toBeLessThanOrEqual(11);
  });
});

describe("DataLoader, random", () => {
  it("starts anywhere with equal probability, so that every position is drawn", () => {
    const [length, blockSize, draws] = [60, 10, 50_000];
    const loader = new DataLoader({
      tokens: positions(length),
      batchSize: 50,
      blockSize,
      order: "random",
      seed: 5,
    });
    const starts = new Array<number>(length - blockSize).fill(0);
    for (const { start, from, to } of drawBlocks(loader, draws / 50)) {
      starts[start]!++;
      expect([from, to]).toEqual([start, start + blockSize]);
    }
    // Expected 1000, standard deviation 31: five of those.
    for (const count of starts) expect(Math.abs(count - 1000)).toBeLessThan(157);
  });
});

describe("a batch", () => {
  it.each(["shuffled", "random"] as const)("holds true neighbours (%s)", (order) => {
    const [length, batchSize, blockSize] = [150, 6, 16];
    const loader = new DataLoader({
      tokens: positions(length),
      batchSize,
      blockSize,
      order,
      seed: 9,
    });
    const twin = new DataLoader({
      tokens: positions(length),
      batchSize,
      blockSize,
      order,
      seed: 9,
    });
    let masked = 0;
    let ignored = 0;
    for (let step = 0; step < 60; step++) {
      using _ = torch.scope();
      const { x, previous, previousMask, y, targets } = loader.next();
      const blocks = twin.nextBlocks();
      for (const tensor of [x, previous, y]) {
        expect(tensor.shape).toEqual([batchSize, blockSize]);
        expect(tensor.dtype).toBe("int64");
        expect(tensor.isContiguous()).toBe(true);
      }
      const [xs, ps, ys] = [rows(x), rows(previous), rows(y)];
      const mask = previousMask?.tolist() as boolean[][] | undefined;
      if (previousMask !== null) expect(previousMask.dtype).toBe("bool");
      // No mask exactly where every row has a whole previous context.
      expect(previousMask === null).toBe(blocks.every(({ start }) => start >= blockSize));
      let counted = 0;
      blocks.forEach(({ start, from, to }, row) => {
        for (let i = 0; i < blockSize; i++) {
          const at = start + i;
          expect(xs[row]![i]).toBe(at);
          const before = at - blockSize;
          expect(ps[row]![i]).toBe(Math.max(before, 0));
          expect(mask?.[row]?.[i] ?? true).toBe(before >= 0);
          if (before < 0) masked++;
          const inside = at >= from && at < to;
          expect(ys[row]![i]).toBe(inside ? at + 1 : IGNORED_TARGET);
          if (inside) counted++;
          else ignored++;
        }
      });
      expect(targets).toBe(counted);
    }
    expect(masked).toBeGreaterThan(0);
    expect(ignored > 0).toBe(order === "shuffled");
  });

  it("is not changed by the ones after it", () => {
    using _ = torch.scope();
    const loader = new DataLoader({ tokens: positions(99), batchSize: 2, blockSize: 4 });
    const first = loader.next();
    const before = rows(first.x);
    for (let i = 0; i < 5; i++) loader.next();
    expect(rows(first.x)).toEqual(before);
  });

  it("leaves libtorch's random numbers as they are", () => {
    using _ = torch.scope();
    torch.manualSeed(4);
    const expected = torch.rand([3]).tolist();
    torch.manualSeed(4);
    new DataLoader({ tokens: positions(99), batchSize: 2, blockSize: 4, seed: 8 }).next();
    expect(torch.rand([3]).tolist()).toEqual(expected);
  });
});

describe("a loader's seed and state", () => {
  const make = (seed = 11, order: DrawOrder = "shuffled") =>
    new DataLoader({ tokens: positions(300), batchSize: 7, blockSize: 8, seed, order });

  it("gives the same batches for the same seed, others for another", () => {
    for (const order of ["shuffled", "random"] as const) {
      const draw = (seed: number) => drawBlocks(make(seed, order), 40);
      expect(draw(11)).toEqual(draw(11));
      expect(draw(11)).not.toEqual(draw(12));
    }
  });

  it.each(DRAW_ORDERS)("resumes exactly, from any step (%s)", (order) => {
    const loader = make(11, order);
    const states: DataLoaderState[] = [];
    const drawn: Block[][] = [];
    for (let step = 0; step < 30; step++) {
      states.push(JSON.parse(JSON.stringify(loader.state())) as DataLoaderState);
      drawn.push(loader.nextBlocks());
    }
    states.forEach((state, step) => {
      const resumed = make(99, order);
      // Whatever it had drawn before is forgotten.
      drawBlocks(resumed, step % 4);
      resumed.loadState(state);
      expect(resumed.step).toBe(step);
      for (let next = step; next < 30; next++) expect(resumed.nextBlocks()).toEqual(drawn[next]);
      expect(resumed.state()).toEqual(loader.state());
    });
  });

  it("refuses a state of another text or shape, naming what differs", () => {
    const state = make().state();
    const cases: [Partial<DataLoaderState>, RegExp][] = [
      [{ tokens: 301 }, /"tokens" was 301 then and is 300 now/],
      [{ batchSize: 8 }, /"batchSize" was 8 then and is 7 now/],
      [{ blockSize: 9 }, /"blockSize" was 9/],
      [{ order: "random" }, /"order" was "random" then and is "shuffled" now/],
      [{ step: -1 }, /"step" must be a whole number from 0, got -1/],
      [{ drawn: 1000 }, /"drawn" is 1000 of a pass of 3\d blocks/],
      [{ random: [1, 2] as unknown as DataLoaderState["random"] }, /"random" must be four/],
    ];
    for (const [change, message] of cases) {
      expect(() => make().loadState({ ...state, ...change })).toThrow(message);
    }
  });
});

describe("splitTokens", () => {
  it("cuts in document order, without overlap and without copying", () => {
    const tokens = positions(1003);
    const { train, val } = splitTokens(tokens);
    expect([train.length, val.length]).toEqual([802, 201]);
    expect([...train, ...val]).toEqual([...tokens]);
    expect(train.buffer).toBe(tokens.buffer);
    expect(splitTokens(tokens, 0.5).val[0]).toBe(501);
  });

  it("keeps the previous windows of validation out of the training part", () => {
    const { val } = splitTokens(positions(1000));
    const loader = new DataLoader({ tokens: val, batchSize: 5, blockSize: 32, seed: 2 });
    for (let step = 0; step < 40; step++) {
      using _ = torch.scope();
      const { previous, previousMask } = loader.next();
      const real = rows(previous).flat();
      const mask = (previousMask?.tolist() as boolean[][] | undefined)?.flat();
      real.forEach((token, i) => {
        if (mask?.[i] ?? true) expect(token).toBeGreaterThanOrEqual(800);
      });
    }
  });

  it("refuses a share that leaves a part empty", () => {
    expect(() => splitTokens(positions(100), 1)).toThrow(/between 0 and 1 .*got 1/);
    expect(() => splitTokens(positions(100), Number.NaN)).toThrow(/got NaN/);
    expect(() => splitTokens(positions(1))).toThrow(/a text of 1 tokens is too short/);
  });
});

describe("a loader's options", () => {
  it("are checked, with what was expected and what came", () => {
    const good = { tokens: positions(100), batchSize: 4, blockSize: 8 };
    const cases: [object, RegExp][] = [
      [{ tokens: positions(8) }, /8 tokens is too short for blocks of 8: it needs at least 9/],
      [{ tokens: positions(0) }, /0 tokens is too short/],
      [{ batchSize: 0 }, /the batch size must be a positive whole number, got 0/],
      [{ batchSize: 1.5 }, /got 1.5/],
      [{ blockSize: 0 }, /the block size must be a positive whole number, got 0/],
      [{ seed: -1 }, /the seed must be a whole number from 0 to 2\*\*53 - 1, got -1/],
      [{ order: "sorted" }, /"shuffled", "running", "random", got "sorted"/],
    ];
    for (const [change, message] of cases) {
      expect(() => new DataLoader({ ...good, ...change })).toThrow(message);
    }
  });
});
