import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { describe, expect, it } from "vitest";
import { TokenReader, torch } from "../../lib/index.js";
import {
  type Batch,
  DataLoader,
  type DataLoaderState,
  DRAW_ORDERS,
  openTokenData,
  type TokenSequence,
} from "../../src/data/index.js";
import { npyHeader } from "../../src/data/token-file.js";
import { temporaryFolder } from "../cli/command.js";
import { positions, rows } from "./text.js";

const folder = temporaryFolder();
const onLinux = process.platform === "linux";
const SCRIPT = join(import.meta.dirname, "read-ahead-process.mjs");

function writeShard(file: string, tokens: Uint16Array): string {
  const path = join(folder, file);
  writeFileSync(path, npyHeader("uint16", tokens.length));
  writeFileSync(path, new Uint8Array(tokens.buffer), { flag: "a" });
  return path;
}

/** The positions of a text of 3,000 tokens, in two files that are mapped. */
function mappedPositions(): TokenSequence {
  const text = Uint16Array.from(positions(3000));
  mkdirSync(join(folder, "shards"));
  writeShard("shards/shard_train_0.npy", text.slice(0, 1234));
  writeShard("shards/shard_train_1.npy", text.slice(1234));
  writeShard("shards/shard_val_0.npy", text.slice(0, 10));
  return openTokenData(join(folder, "shards"), 0.9).train;
}

function parts({ x, previous, previousMask, y, targets, rowTargets, continues }: Batch) {
  return {
    ...{ x: rows(x), previous: rows(previous), y: rows(y), targets, rowTargets, continues },
    mask: previousMask?.tolist() ?? null,
  };
}

describe("batches that are made before they are asked for", () => {
  const shape = { batchSize: 3, blockSize: 16, seed: 5 };
  const sources = { mapped: mappedPositions(), "in memory": positions(3000) };

  it.each(
    DRAW_ORDERS.flatMap((order) => Object.keys(sources).map((source) => [order, source] as const)),
  )("are those of a loader that makes none, and so is its state (%s, %s)", (order, source) => {
    const plain = new DataLoader({ tokens: positions(3000), ...shape, order, readAhead: 0 });
    const tokens = sources[source as keyof typeof sources];
    const ahead = [undefined, 1, 2, 7].map(
      (readAhead) => new DataLoader({ tokens, ...shape, order, ...(readAhead && { readAhead }) }),
    );
    const states: DataLoaderState[] = [];
    const batches: unknown[] = [];
    // More than two passes.
    for (let step = 0; step < 2.2 * plain.stepsPerEpoch; step++) {
      using _ = torch.scope();
      states.push(JSON.parse(JSON.stringify(plain.state())) as DataLoaderState);
      const expected = parts(plain.next());
      batches.push(expected);
      for (const loader of ahead) {
        expect(loader.state()).toEqual(states[step]);
        expect([loader.step, loader.epoch]).toEqual([step, Math.floor(step / plain.stepsPerEpoch)]);
        expect(parts(loader.next())).toEqual(expected);
      }
    }
    // Back and forth, from loaders that have read on.
    for (const step of [100, 3, 64, 0, 65]) {
      for (const loader of ahead) {
        using _ = torch.scope();
        loader.loadState(states[step]!);
        expect(loader.state()).toEqual(states[step]);
        expect(parts(loader.next())).toEqual(batches[step]);
        expect(parts(loader.next())).toEqual(batches[step + 1]);
      }
    }
    for (const loader of ahead) loader[Symbol.dispose]();
  });

  it("are drawn as blocks, too, in turns", () => {
    using _ = torch.scope();
    const plain = new DataLoader({ tokens: positions(3000), ...shape });
    using loader = new DataLoader({ tokens: sources.mapped, ...shape, readAhead: 4 });
    for (let step = 0; step < 90; step++) {
      const blocks = plain.nextBlocks();
      if (step % 3 === 0) expect(loader.nextBlocks()).toEqual(blocks);
      else
        expect(rows(loader.next().x).map(([first]) => first)).toEqual(blocks.map((b) => b.start));
    }
  });

  it("have been read when they are asked for", async () => {
    const size = 1 << 20;
    const path = writeShard("changing.npy", new Uint16Array(size).fill(1));
    const { train } = openTokenData(path, 0.9);
    using loader = new DataLoader({ tokens: train, batchSize: 64, blockSize: 64, readAhead: 3 });
    using _ = torch.scope();
    loader.next();
    await setTimeout(500);
    const changed = Buffer.concat([
      npyHeader("uint16", size),
      new Uint8Array(new Uint16Array(size).fill(2).buffer),
    ]);
    writeFileSync(path, changed, { flag: "r+" });
    const seen = Array.from({ length: 8 }, () => [...new Set(rows(loader.next().x).flat())]);
    // A mapping shows what is written to its file: the first three were read before, the last were not yet.
    expect(seen.slice(0, 3)).toEqual([[1], [1], [1]]);
    expect(seen.at(-1)).toEqual([2]);
  });

  it.runIf(onLinux)(
    "take no more tensors than are handed out, and one thread until they are disposed of",
    () => {
      const threads = () => readdirSync("/proc/self/task").length;
      const before = torch.memory().handles;
      const running = threads();
      const loaders = Array.from(
        { length: 5 },
        (_, seed) => new DataLoader({ tokens: sources.mapped, ...shape, seed }),
      );
      for (let step = 0; step < 50; step++) {
        using _ = torch.scope();
        for (const loader of loaders) loader.next();
      }
      expect(torch.memory().handles).toBe(before);
      expect(threads()).toBe(running + 5);
      for (const loader of loaders) loader[Symbol.dispose]();
      expect(threads()).toBe(running);
      expect(() => loaders[0]!.next()).toThrow("expected an open reader, got one that was closed");
    },
  );

  it.runIf(onLinux)("say which file can no longer be read, at the step that needs it", () => {
    const path = writeShard("cut.npy", new Uint16Array(1 << 22));
    const child = spawnSync(process.execPath, [SCRIPT, "cut", path], { encoding: "utf8" });
    expect(child.stderr).toBe("");
    const { code, message } = JSON.parse(child.stdout) as { code: string; message: string };
    expect(code).toBe("ERR_WAVEGPT_DATA");
    expect(message).toMatch(
      /cut\.npy: its tokens \d+ to \d+ could not be read \(Bad address\)\. Was the file cut short/,
    );
  });

  it("keep no process and no worker thread from ending", async () => {
    const path = writeShard("ending.npy", new Uint16Array(1 << 22));
    const child = spawnSync(process.execPath, [SCRIPT, "exit", path], { encoding: "utf8" });
    expect([child.status, child.signal, child.stderr]).toEqual([0, null, ""]);
    for (let i = 0; i < 3; i++) {
      const worker = new Worker(SCRIPT, { workerData: { mode: "terminate", file: path } });
      expect(await once(worker, "message")).toEqual(["reading"]);
      expect(await worker.terminate()).toBe(1);
    }
  });
});

describe("TokenReader", () => {
  const reader = (arrays: (Uint16Array | Uint32Array)[] = [positions(100)], device = "cpu") => {
    const pieces = arrays.map((array) => ({ tokens: torch.fromTypedArray(array), file: null }));
    return new TokenReader({ pieces, blockSize: 4, documentStart: null, device });
  };

  it("names rows that are not in the text, and what was not asked for", () => {
    using _ = torch.scope();
    using own = reader();
    const cases: [number[], string][] = [
      [[-1, 0, 3], "start -1"],
      [[100, 100, 100], "start 100"],
      [[96, 96, 100], "targets 96 to 100"],
      [[4, 3, 6], "targets 3 to 6"],
      [[4, 6, 5], "targets 6 to 5"],
      [[4, 4, 9], "targets 4 to 9"],
      [[Number.NaN, 0, 1], "start nan"],
    ];
    for (const [row, got] of cases) {
      expect(() => own.request(Float64Array.from(row), 1, false), got).toThrow(got);
    }
    expect(() => own.request(new Float64Array(4), 1, false)).toThrow("three numbers a row, got 4");
    expect(() => own.request(new Float64Array(0), 1, false)).toThrow("three numbers a row, got 0");
    expect(() => own.request(new Float64Array(9), 2, false)).toThrow(
      "a divisor of the 3 rows, got 2",
    );
    expect(() => own.take()).toThrow("no batch was asked for");
    for (const tokens of [torch.zeros([3]), torch.zeros([2, 2], { dtype: "uint16" })]) {
      const pieces = [{ tokens, file: null }];
      const options = { pieces, blockSize: 4, documentStart: null, device: "cpu" };
      expect(() => new TokenReader(options)).toThrow(/one dimension, uint16 or uint32, on the CPU/);
    }
  });

  it("puts rows of 16 and of 32-bit pieces together", () => {
    using _ = torch.scope();
    using own = reader([
      Uint32Array.of(0, 70_001, 70_002),
      Uint16Array.of(3, 4, 65_535),
      Uint32Array.of(6, 4_294_967_295, 8),
    ]);
    own.request(Float64Array.of(4, 4, 8, 2, 3, 5), 2, false);
    const { x, previous, y, mask } = own.take();
    expect(rows(x)).toEqual([
      [4, 65_535, 6, 4_294_967_295],
      [70_002, 3, 4, 65_535],
    ]);
    expect(rows(previous)).toEqual([
      [0, 70_001, 70_002, 3],
      [0, 0, 0, 70_001],
    ]);
    expect(rows(y)).toEqual([
      [65_535, 6, 4_294_967_295, 8],
      [-100, 4, 65_535, -100],
    ]);
    expect(mask?.tolist()).toEqual([
      [true, true, true, true],
      [false, false, true, true],
    ]);
  });

  it("makes one tensor for another device, to be copied at once", () => {
    using _ = torch.scope();
    using own = reader([positions(100)], "meta");
    own.request(Float64Array.of(0, 0, 4), 1, false);
    const { x, previous, y, mask } = own.take();
    for (const tensor of [x, previous, y, mask!]) {
      expect([tensor.device, tensor.shape]).toEqual(["meta", [1, 4]]);
    }
    expect([x.dtype, mask!.dtype]).toEqual(["int64", "bool"]);
  });
});
