// Run as a process, and as a worker thread, by read-ahead.test.ts: reads a file's tokens ahead and ends meanwhile, or
// goes on after the file was cut short.
import { truncateSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { parentPort, workerData } from "node:worker_threads";
import { torch } from "../../dist/lib/index.js";
import { DataLoader, openTokenData } from "../../dist/src/data/index.js";

const { mode, file } = workerData ?? { mode: process.argv[2], file: process.argv[3] };
const tokens = openTokenData(file, 0.9).train;
const loader = new DataLoader({ tokens, batchSize: 64, blockSize: 64, seed: 1, readAhead: 50 });
const scope = torch.scope();
loader.next();
if (mode === "exit") process.exit(0);
if (mode === "terminate") parentPort.postMessage("reading");
while (mode === "terminate") {
  const step = torch.scope();
  loader.next();
  step[Symbol.dispose]();
}
// Within the instant between looking for a row's pages and reading them, a cut would end the process.
await setTimeout(500);
truncateSync(file, 1 << 16);
let failure = null;
for (let step = 0; step < 500 && failure === null; step++) {
  try {
    loader.next();
  } catch (error) {
    failure = { code: error.code, message: error.message };
  }
}
scope[Symbol.dispose]();
console.log(JSON.stringify(failure));
