import { once } from "node:events";
import os from "node:os";
import { Worker } from "node:worker_threads";

/** Exchanges that are timed together: under a millisecond, so that few of them meet a change of threads. */
const EXCHANGES = 1000;
const MEASUREMENTS = 100;

/** Waits for each odd number from 1 on in the cache line, and answers with the even one after it. */
const ECHO = `
  const { parentPort, workerData: line } = require("node:worker_threads");
  parentPort.postMessage("ready");
  for (let sent = 1; sent < ${2 * EXCHANGES * MEASUREMENTS}; sent += 2) {
    while (Atomics.load(line, 0) !== sent);
    Atomics.store(line, 0, sent + 1);
  }`;

/**
 * How long a cache line takes from one core to another and back, in nanoseconds: the shortest of some measurements.
 * Cores that share a cache answer several times as fast as cores that do not, and what threads hand each other takes as
 * long. Null on a machine with one core.
 */
export async function coreRoundTrip(): Promise<number | null> {
  if (os.availableParallelism() < 2) return null;
  // A cache line of its own.
  const line = new Int32Array(new SharedArrayBuffer(128));
  const other = new Worker(ECHO, { eval: true, workerData: line });
  try {
    await once(other, "message");
    let shortest = Number.POSITIVE_INFINITY;
    let sent = 1;
    for (let measurement = 0; measurement < MEASUREMENTS; measurement++) {
      const start = process.hrtime.bigint();
      for (let exchange = 0; exchange < EXCHANGES; exchange++, sent += 2) {
        Atomics.store(line, 0, sent);
        while (Atomics.load(line, 0) !== sent + 1);
      }
      const nanoseconds = Number(process.hrtime.bigint() - start);
      shortest = Math.min(shortest, nanoseconds / EXCHANGES);
    }
    return shortest;
  } finally {
    await other.terminate();
  }
}
