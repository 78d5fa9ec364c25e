import { once } from "node:events";
import path from "node:path";
import { Worker } from "node:worker_threads";
import { describe, expect, test } from "vitest";
import { binding } from "../../lib/binding.js";
import { packageRoot } from "../../lib/package-root.js";
import { aten } from "./operator.js";

interface Finished {
  sums: number[];
  failure: string | null;
  memory: { handles: number; scopes: number };
}

function start(workerData: Record<string, unknown>): Worker {
  return new Worker(path.join(packageRoot(), "test/binding/worker.mjs"), { workerData });
}

/** Listens from the start: two messages may come in one turn, and `once` would miss the second. */
function result(worker: Worker): Promise<Finished> {
  return new Promise((resolve, reject) => {
    worker.on("message", (message: Finished | "running") => {
      if (message !== "running") resolve(message);
    });
    worker.on("error", reject);
  });
}

describe("worker threads", () => {
  test("two compute at once, each with its own handles, and get what one alone gets", async () => {
    const alone = await result(start({ seed: 1, rounds: 300 }));
    const workers = [start({ seed: 1, rounds: 300 }), start({ seed: 2, rounds: 300 })];
    const [first, second] = await Promise.all(workers.map(result));
    expect(first?.sums).toEqual(alone.sums);
    expect(second?.sums).not.toEqual(alone.sums);
    expect(first?.sums).toHaveLength(300);
    for (const finished of [alone, first, second]) {
      expect(finished?.failure).toBe("ERR_WAVEGPT_LIBTORCH");
      expect(finished?.memory).toMatchObject({ scopes: 0 });
    }
    await Promise.all(workers.map((worker) => worker.terminate()));
  });

  test("one is terminated in the middle of its work, the other and this thread go on", async () => {
    for (let round = 0; round < 5; round++) {
      const doomed = start({ seed: 3, rounds: 1e9 });
      const other = start({ seed: 1, rounds: 200 });
      const finished = result(other);
      await once(doomed, "message");
      await doomed.terminate();
      expect((await finished).sums).toHaveLength(200);
      await other.terminate();
    }
    const ones = aten("ones")([4]);
    expect(binding.item(aten("sum")(ones))).toBe(4);
    binding.release(ones);
  });

  test("a terminated worker frees what it held", async () => {
    const resident = () => process.memoryUsage.rss();
    const worker = start({ mode: "hold", tensors: 100 });
    const [held] = (await once(worker, "message")) as [{ handles: number; bytes: number }];
    expect(held).toEqual({ handles: 100, bytes: 400 * 2 ** 20 });
    const full = resident();
    await worker.terminate();
    expect(full - resident()).toBeGreaterThan(300 * 2 ** 20);
  });

  test("while one is profiled no other can be, and its end gives the profiler free", async () => {
    const worker = start({ mode: "profile" });
    await once(worker, "message");
    expect(() => binding.startProfiler(true, false, false)).toThrow(
      /another thread is being profiled/,
    );
    await worker.terminate();
    binding.startProfiler(true, false, false);
    const ones = aten("ones")([4]);
    const events = binding.profilerEvents(binding.stopProfiler());
    binding.release(ones);
    expect(events.map(({ name }) => name)).toContain("aten::ones");
    expect(events.map(({ name }) => name)).not.toContain("left open");
  });
});
