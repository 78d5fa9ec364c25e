import { spawnSync } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { Worker } from "node:worker_threads";
import { beforeEach, describe, expect, test } from "vitest";
import { binding } from "../../lib/binding.js";
import { packageRoot } from "../../lib/package-root.js";
import { aten, errorOf } from "./operator.js";

const KiB = 1024;
const MiB = 1024 * KiB;
const CHUNK = 2 * MiB;
/** Only there does a heap of our own serve large blocks. */
const onLinux = process.platform === "linux";

const emptyTensor = aten("empty", "memory_format");
const fill = aten("fill_", "Scalar");
const minimum = aten("min");
const maximum = aten("max");
const BYTE = 0; // ScalarType of uint8

/** A tensor of so many bytes, all of one value. */
function block(bytes: number, value: number): number {
  const handle = emptyTensor([bytes], BYTE);
  fill(handle, value);
  return handle;
}

/** The one value of a block's bytes; fails where they differ. */
function byteOf(handle: number): unknown {
  const [low, high] = [minimum(handle), maximum(handle)];
  const values = [binding.item(low), binding.item(high)];
  for (const each of [low, high]) binding.release(each);
  expect(values[0]).toBe(values[1]);
  return values[0];
}

/** Runs a script that has `binding` and prints one line of JSON, in a process of its own. */
function inProcess(script: string, environment: Record<string, string>): unknown {
  const module = path.join(packageRoot(), "dist/lib/binding.js");
  const source = `import { binding } from ${JSON.stringify(module)};
    const empty = (bytes) => binding.call(binding.findOperator("aten::empty", "memory_format").id, [bytes], 0);
    ${script}`;
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ["--input-type=module", "-e", source],
    { env: { ...process.env, ...environment }, encoding: "utf8" },
  );
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}

beforeEach(() => {
  binding.emptyCpuCache();
  binding.resetPeakCpuMemory();
});

describe("memory of CPU tensors", () => {
  test.each([1, 64, 65, 4096, 4097, 64 * KiB - 1, 64 * KiB, 64 * KiB + 1, 3 * MiB + 5])(
    "%i bytes begin at a multiple of 64, and all of them can be written",
    (bytes) => {
      const before = block(bytes, 1);
      const tensor = block(bytes, 2);
      const after = block(bytes, 3);
      expect([before, tensor, after].map((each) => binding.dataPointer(each) % 64n)).toEqual([
        0n,
        0n,
        0n,
      ]);
      expect([before, tensor, after].map(byteOf)).toEqual([1, 2, 3]);
      for (const each of [before, tensor, after]) binding.release(each);
    },
  );

  test("what cannot be had is an error", () => {
    for (const bytes of [2 ** 46, 2 ** 52]) {
      const error = errorOf(() => emptyTensor([bytes], BYTE));
      expect(error.code).toBe("ERR_WAVEGPT_OUT_OF_MEMORY");
    }
    expect(byteOf(block(MiB, 7))).toBe(7);
  });

  test("blocks of random sizes keep their contents", () => {
    let state = 1;
    const random = (below: number) => {
      state = (state * 48271) % 2147483647;
      return state % below;
    };
    const live: { handle: number; value: number }[] = [];
    for (let round = 0; round < 1500; round++) {
      if (live.length > 12 || (live.length > 0 && random(3) === 0)) {
        const [taken] = live.splice(random(live.length), 1);
        expect(byteOf(taken!.handle)).toBe(taken!.value);
        binding.release(taken!.handle);
      } else {
        const bytes = 1 + random([4 * KiB, 128 * KiB, 3 * MiB, 12 * MiB][random(4)]!);
        const value = random(256);
        live.push({ handle: block(bytes, value), value });
      }
    }
    for (const { handle, value } of live) {
      expect(byteOf(handle)).toBe(value);
      binding.release(handle);
    }
    if (!onLinux) return;
    const { peakAllocated, peakReserved } = binding.cpuMemory();
    // A chunk with a block in it stays, however small the block: at most two for each that lives.
    expect(peakReserved).toBeLessThanOrEqual(peakAllocated + 2 * 13 * CHUNK);
  });
});

describe.runIf(onLinux)("memory of large CPU tensors", () => {
  test("is counted", () => {
    const before = binding.cpuMemory();
    const tensor = block(8 * MiB, 1);
    const held = binding.cpuMemory();
    expect(held.allocated - before.allocated).toBe(8 * MiB);
    expect(held.reserved).toBeGreaterThanOrEqual(held.allocated);
    binding.release(tensor);
    const after = binding.cpuMemory();
    expect(after.allocated).toBe(before.allocated);
    expect(after.peakAllocated).toBe(held.allocated);
    expect(after.reserved).toBe(held.reserved);
    binding.resetPeakCpuMemory();
    expect(binding.cpuMemory().peakAllocated).toBe(before.allocated);
  });

  test("a freed block's memory serves the next one", () => {
    const first = block(6 * MiB, 1);
    const address = binding.dataPointer(first);
    binding.release(first);
    const { taken } = binding.cpuMemory();
    const second = block(6 * MiB, 2);
    expect(binding.dataPointer(second)).toBe(address);
    expect(binding.cpuMemory().taken).toBe(taken);
    binding.release(second);
  });

  test("memory of freed blocks that do not touch serves a larger one", () => {
    const blocks = Array.from({ length: 16 }, (_, at) => block(8 * MiB, at));
    for (let at = 0; at < 16; at += 2) binding.release(blocks[at]!);
    const { taken, reserved } = binding.cpuMemory();
    // 64 MiB are free, in pieces of 8, each with at least three whole chunks.
    const large = block(40 * MiB, 99);
    expect(binding.cpuMemory()).toMatchObject({ taken, reserved });
    expect(byteOf(large)).toBe(99);
    for (let at = 1; at < 16; at += 2) {
      expect(byteOf(blocks[at]!)).toBe(at);
      binding.release(blocks[at]!);
    }
    binding.release(large);
  });

  test("emptying gives the system what no tensor uses", () => {
    const kept = block(3 * MiB, 5);
    const resident = () => process.memoryUsage.rss();
    const blocks = Array.from({ length: 10 }, () => block(30 * MiB, 1));
    for (const each of blocks) binding.release(each);
    const full = resident();
    expect(binding.cpuMemory().reserved).toBeGreaterThan(300 * MiB);
    binding.emptyCpuCache();
    const { reserved, allocated } = binding.cpuMemory();
    expect(reserved).toBeLessThan(allocated + 20 * MiB);
    expect(full - resident()).toBeGreaterThan(250 * MiB);
    expect(byteOf(kept)).toBe(5);
    const again = block(30 * MiB, 2);
    expect(byteOf(again)).toBe(2);
    for (const each of [kept, again]) binding.release(each);
  });

  test("three threads compute at once, each with its own contents", async () => {
    const script = path.join(packageRoot(), "test/binding/worker.mjs");
    const workers = [1, 2, 3].map(
      (seed) => new Worker(script, { workerData: { mode: "churn", seed, rounds: 400 } }),
    );
    const answers = await Promise.all(workers.map((worker) => once(worker, "message")));
    expect(answers).toEqual([1, 2, 3].map(() => [{ wrong: 0, freed: 400 }]));
    await Promise.all(workers.map((worker) => worker.terminate()));
    const after = binding.cpuMemory();
    expect(after.reserved).toBeLessThan(after.allocated + 20 * MiB);
  });

  test("WAVEGPT_CPU_CACHE bounds what is kept, turns it off, or is refused", () => {
    const script = `
      const tensors = Array.from({ length: 8 }, () => empty(10 * 2 ** 20));
      const before = binding.cpuMemory();
      for (const tensor of tensors) binding.release(tensor);
      console.log(JSON.stringify([before, binding.cpuMemory()]));`;
    expect(inProcess(script, { WAVEGPT_CPU_CACHE: "16" })).toMatchObject([
      { allocated: 80 * MiB, reserved: 80 * MiB },
      { allocated: 0, reserved: 16 * MiB },
    ]);
    expect(inProcess(script, { WAVEGPT_CPU_CACHE: "" })).toMatchObject([
      {},
      { reserved: 80 * MiB, taken: 80 * MiB },
    ]);
    expect(inProcess(script, { WAVEGPT_CPU_CACHE: "0" })).toMatchObject([
      { allocated: 0, reserved: 0 },
      { taken: 0 },
    ]);
    expect(() => inProcess(script, { WAVEGPT_CPU_CACHE: "lots" })).toThrow(
      'WAVEGPT_CPU_CACHE: expected a whole number of MiB, 0 for no cache, got "lots"',
    );
  });
});
