import { describe, expect, it } from "vitest";
import { torch } from "../../lib/index.js";
import { type Block, DataLoader, EvaluationLoader, JoinedTokens } from "../../src/data/index.js";
import { ComputedOrder, LARGEST_LIST, randomOrder } from "../../src/data/order.js";
import { Random } from "../../src/data/random.js";
import { positions, rows } from "./text.js";

/** A text cut into pieces, some of them empty. */
function pieces(tokens: Uint32Array, ...lengths: number[]): JoinedTokens {
  const cut: Uint32Array[] = [];
  let at = 0;
  for (const length of lengths) {
    cut.push(tokens.subarray(at, at + length));
    at += length;
  }
  return new JoinedTokens([...cut, tokens.subarray(at)]);
}

describe("JoinedTokens", () => {
  const tokens = positions(100);
  const joined = pieces(tokens, 1, 0, 30, 2, 40);

  it("is one text: every view of it is the text's", () => {
    expect(joined.length).toBe(100);
    for (let from = 0; from < 100; from++) {
      for (let to = from; to <= 100; to++) {
        expect([...joined.view(from, to)]).toEqual([...tokens.subarray(from, to)]);
      }
    }
  });

  it("copies nothing where a view lies in one piece", () => {
    expect(joined.view(2, 30).buffer).toBe(tokens.buffer);
    expect(joined.view(30, 34).buffer).not.toBe(tokens.buffer);
  });

  it("has parts that are texts, too", () => {
    for (const [from, to] of [
      [0, 100],
      [0, 0],
      [5, 32],
      [31, 33],
      [70, 100],
      [1, 2],
    ] as const) {
      const part = joined.slice(from, to);
      expect(part.length).toBe(to - from);
      if (to > from) expect([...part.view(0, part.length)]).toEqual([...tokens.subarray(from, to)]);
    }
  });
});

describe("loaders over shards", () => {
  it("give the batches of one array: what stands before a block is the true text across the ends", () => {
    const tokens = positions(3000);
    const options = { batchSize: 7, blockSize: 16, seed: 5 };
    const one = new DataLoader({ tokens, ...options });
    const many = new DataLoader({ tokens: pieces(tokens, 999, 1, 10, 1000), ...options });
    const held = new EvaluationLoader({ tokens, ...options });
    const heldMany = new EvaluationLoader({ tokens: pieces(tokens, 17, 1500), ...options });
    for (let step = 0; step < 2 * one.stepsPerEpoch; step++) {
      using _ = torch.scope();
      const [a, b] = [one.next(), many.next()];
      for (const part of ["x", "previous", "y"] as const) {
        expect(rows(b[part])).toEqual(rows(a[part]));
      }
      expect(b.previousMask?.tolist() ?? null).toEqual(a.previousMask?.tolist() ?? null);
    }
    for (let index = 0; index < held.batches; index++) {
      using _ = torch.scope();
      expect(rows(heldMany.batch(index).previous)).toEqual(rows(held.batch(index).previous));
    }
  });
});

describe("the start of documents", () => {
  /** Documents of 5, 1, 9, ... tokens; the first of each is 0. */
  const lengths = [5, 1, 9, 20, 3, 2, 40, 1, 1, 12];
  const text = Uint32Array.from(
    lengths.flatMap((length, document) =>
      Array.from({ length }, (_, at) => (at === 0 ? 0 : 100 * (document + 1) + at)),
    ),
  );
  const documentOf = lengths.flatMap((length, document) => Array.from({ length }, () => document));

  it("bounds what stands before a block, where that is asked for", () => {
    const blockSize = 6;
    const loader = new DataLoader({
      tokens: text,
      batchSize: 5,
      blockSize,
      seed: 1,
      documentStart: 0,
    });
    const blocks = new DataLoader({ tokens: text, batchSize: 5, blockSize, seed: 1 });
    let padded = 0;
    for (let step = 0; step < 40; step++) {
      using _ = torch.scope();
      const { x, previous, previousMask } = loader.next();
      const mask = previousMask?.tolist() as boolean[][] | undefined;
      for (const [row, { start }] of blocks.nextBlocks().entries()) {
        expect(rows(x)[row]).toEqual([...text.subarray(start, start + blockSize)]);
        for (let i = 0; i < blockSize; i++) {
          const at = start - blockSize + i;
          const own = at >= 0 && documentOf[at] === documentOf[start];
          expect(mask?.[row]?.[i] ?? true).toBe(own);
          expect(rows(previous)[row]![i]).toBe(own ? text[at] : 0);
          if (!own) padded++;
        }
      }
    }
    expect(padded).toBeGreaterThan(100);
  });
});

describe("ranks", () => {
  it.each([
    [1, 8],
    [2, 4],
    [3, 5],
    [8, 1],
  ])(
    "read every token once in an epoch, all %i of them together (batch %i)",
    (world, batchSize) => {
      const tokens = positions(1201);
      const loaders = Array.from(
        { length: world },
        (_, rank) => new DataLoader({ tokens, batchSize, blockSize: 10, seed: 3, rank, world }),
      );
      const single = new DataLoader({
        tokens,
        batchSize: world * batchSize,
        blockSize: 10,
        seed: 3,
      });
      const counts = new Uint32Array(1200);
      let left = 1200;
      while (left > 0) {
        const blocks: Block[] = loaders.flatMap((loader) => loader.nextBlocks());
        expect(blocks).toEqual(single.nextBlocks());
        for (const { from, to } of blocks) {
          if (left === 0) break;
          for (let target = from; target < to; target++) counts[target]!++;
          left -= to - from;
        }
      }
      expect([...new Set(counts)]).toEqual([1]);
      expect(loaders.every((loader) => loader.stepsPerEpoch === single.stepsPerEpoch)).toBe(true);
    },
  );

  it("go on where they were, also as another number of ranks of the same batch", () => {
    const options = { tokens: positions(900), blockSize: 8, seed: 4 };
    const four = Array.from(
      { length: 4 },
      (_, rank) => new DataLoader({ ...options, batchSize: 2, rank, world: 4 }),
    );
    for (let step = 0; step < 17; step++) for (const loader of four) loader.next();
    const two = Array.from(
      { length: 2 },
      (_, rank) => new DataLoader({ ...options, batchSize: 4, rank, world: 2 }),
    );
    for (const loader of two) loader.loadState(JSON.parse(JSON.stringify(four[3]!.state())));
    for (let step = 0; step < 30; step++) {
      expect(two.flatMap((loader) => loader.nextBlocks())).toEqual(
        four.flatMap((loader) => loader.nextBlocks()),
      );
    }
    const other = new DataLoader({ ...options, batchSize: 2 });
    expect(() => other.loadState(four[0]!.state())).toThrow(/"batchSize" was 8 then and is 2 now/);
  });

  it("say which ranks there are", () => {
    const options = { tokens: positions(100), batchSize: 1, blockSize: 4 };
    expect(() => new DataLoader({ ...options, rank: 2, world: 2 })).toThrow(
      /rank must be a whole number from 0 to 1, got 2/,
    );
    expect(() => new DataLoader({ ...options, world: 0 })).toThrow(
      /number of ranks must be a positive whole number, got 0/,
    );
  });
});

describe("ComputedOrder", () => {
  it.each([1, 2, 3, 7, 64, 1000, 4097, 65_537])("has each of %i numbers once", (length) => {
    const order = new ComputedOrder(length, new Random(length));
    const seen = new Uint8Array(length);
    for (let i = 0; i < length; i++) seen[order.at(i)]!++;
    expect(seen.every((count) => count === 1)).toBe(true);
  });

  it("orders evenly: each number is as likely at each place", () => {
    const counts = Array.from({ length: 5 }, () => new Array<number>(5).fill(0));
    const random = new Random(3);
    for (let i = 0; i < 20_000; i++) {
      const order = new ComputedOrder(5, random);
      for (let at = 0; at < 5; at++) counts[at]![order.at(at)]!++;
    }
    // Expected 4000, standard deviation 57: six of those.
    for (const count of counts.flat()) expect(Math.abs(count - 4000)).toBeLessThan(342);
  });

  it("is taken for more blocks than a list should hold, and leaves no neighbours beside each other", () => {
    const length = LARGEST_LIST + 1;
    const order = randomOrder(length, new Random(1));
    expect(order).toBeInstanceOf(ComputedOrder);
    const draws = Array.from({ length: 20_000 }, (_, i) => order.at(i));
    expect(new Set(draws).size).toBe(draws.length);
    expect(Math.max(...draws)).toBeLessThan(length);
    const mean = draws.reduce((sum, value) => sum + value, 0) / draws.length / length;
    expect(Math.abs(mean - 0.5)).toBeLessThan(0.01);
    const close = draws.filter(
      (value, i) => i > 0 && Math.abs(value - draws[i - 1]!) < 1000,
    ).length;
    expect(close).toBeLessThan(20);
  });
});
