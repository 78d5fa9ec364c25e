import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { torch } from "../../lib/index.js";
import { DataLoader, openTokenData } from "../../src/data/index.js";
import { NPY_HEADER, npyHeader, readTokenFile } from "../../src/data/token-file.js";
import { temporaryFolder } from "../cli/command.js";
import { python, pythonFile } from "../python.js";
import { rows } from "./text.js";

const folder = temporaryFolder();
beforeAll(() => {
  pythonFile(join(import.meta.dirname, "token-files.py"), folder);
});

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

describe("openTokenData", () => {
  it.each([
    ["reference", 0, [500, 6000], [0, 500]],
    ["nanogpt", 0, [0, 5000], [5000, 6000]],
    ["llmc", 0, [0, 5000], [5000, 6000]],
    ["wide", 65_536, [0, 6000], [0, 6000]],
    ["nanogpt/train.bin", 0, [0, 4000], [4000, 5000]],
  ] as const)("reads what others wrote: %s", (name, added, train, val) => {
    const data = openTokenData(join(folder, name), 0.8);
    expect([...data.train.view(0, data.train.length)]).toEqual(
      range(added + train[0], added + train[1]),
    );
    expect([...data.val.view(0, data.val.length)]).toEqual(range(added + val[0], added + val[1]));
    expect(data.sha256).toBe(openTokenData(join(folder, name), 0.8).sha256);
  });

  it("gives loaders the true tokens before a block across the reference's shards", () => {
    const { train } = openTokenData(join(folder, "reference"), 0.8);
    const loader = new DataLoader({ tokens: train, batchSize: 4, blockSize: 64, seed: 2 });
    for (let step = 0; step < loader.stepsPerEpoch; step++) {
      using _ = torch.scope();
      const { x, previous, previousMask } = loader.next();
      if (previousMask !== null) continue;
      rows(x).forEach((row, at) => {
        expect([...rows(previous)[at]!, ...row]).toEqual(range(row[0]! - 64, row[0]! + 64));
      });
    }
  });

  it("copies nothing: a large file is not in the process's own memory", () => {
    const path = join(folder, "many", "train.bin");
    const piece = Buffer.alloc(64 << 20, 1);
    writeFileSync(path, piece);
    for (let i = 0; i < 7; i++) writeFileSync(path, piece, { flag: "a" });
    // Pages that only this process has; those of the file are the system's to drop.
    const own = () =>
      Number(/^RssAnon:\s+(\d+)/m.exec(readFileSync("/proc/self/status", "utf8"))![1]);
    const before = own();
    const { train } = openTokenData(path, 0.5);
    const loader = new DataLoader({ tokens: train, batchSize: 512, blockSize: 64, seed: 1 });
    for (let step = 0; step < 50; step++) {
      using _ = torch.scope();
      loader.next();
    }
    expect(train.length).toBe(2 ** 27);
    expect(own() - before).toBeLessThan(64 << 10);
  });

  it.each([
    ["version.bin", /expected llm\.c's version 1 \(uint16\) or 7 \(uint32\), got 3/],
    ["signed.npy", /expected 16 or 32-bit unsigned integers \('<u2', '<u4'\), got <i8/],
    ["square.npy", /expected one dimension, got the shape \(60, 100\)/],
    [
      "short.npy",
      /its header says 6000 uint32 tokens, which take 24128 bytes, but the file has 24120: it is cut short/,
    ],
    ["odd.bin", /expected 16-bit tokens, which take an even number of bytes, got 3/],
    ["text.npy", /expected a \.npy file, but it does not begin as one/],
  ])("says what is wrong with %s", (name, message) => {
    expect(() => openTokenData(join(folder, name), 0.8)).toThrow(message);
  });

  it("says what a prepared folder lacks", () => {
    const part = { documents: 1, tokens: 4, characters: 4, bytes: 4 };
    const shard = (file: string) => ({ ...part, shards: [{ file, tokens: 4, sha256: "" }] });
    const manifest = {
      format: "wavegpt-tokens",
      version: 1,
      dtype: "uint16",
      train: shard("train-00000.npy"),
      val: shard("val-00000.npy"),
    };
    const out = join(folder, "prepared");
    mkdirSync(out);
    const write = (value: unknown) =>
      writeFileSync(join(out, "manifest.json"), JSON.stringify(value));
    write(manifest);
    expect(() => openTokenData(out, 0.8)).toThrow(
      /train-00000\.npy: there is no such file, but manifest\.json lists it/,
    );
    writeFileSync(
      join(out, "train-00000.npy"),
      Buffer.concat([npyHeader("uint16", 5), Buffer.alloc(10)]),
    );
    expect(() => openTokenData(out, 0.8)).toThrow(
      /expected 4 uint16 tokens as manifest\.json says, got 5 uint16/,
    );
    write({ ...manifest, version: 2 });
    expect(() => openTokenData(out, 0.8)).toThrow(
      /expected the format "wavegpt-tokens", version 1/,
    );
    const half = join(folder, "half");
    mkdirSync(half);
    writeFileSync(join(half, "progress.json"), "{}");
    expect(() => openTokenData(half, 0.8)).toThrow(/its preparation is not finished.*--resume/);
  });
});

describe("npyHeader", () => {
  it.each(["uint16", "uint32"] as const)("is what numpy reads: %s", (dtype) => {
    const path = join(folder, `own-${dtype}.npy`);
    const ids = dtype === "uint16" ? range(0, 999) : range(70_000, 70_999);
    const tokens = dtype === "uint16" ? Uint16Array.from(ids) : Uint32Array.from(ids);
    writeFileSync(path, Buffer.concat([npyHeader(dtype, 999), new Uint8Array(tokens.buffer)]));
    const read = python(
      "import numpy, sys; a = numpy.load(sys.argv[1]); print(a.dtype, a.shape, a.sum())",
      path,
    );
    expect(read.trim()).toBe(`${dtype} (999,) ${ids.reduce((sum, id) => sum + id)}`);
    expect(readTokenFile(path)).toMatchObject({
      format: "npy",
      dtype,
      offset: NPY_HEADER,
      tokens: 999,
    });
  });
});
