// Run as a worker thread by workers.test.ts: computes in a loop and reports sums, fills memory and
// waits, or records a profile and waits; and by cpu-memory.test.ts: takes and frees blocks, and looks whether each kept
// its contents.
import { parentPort, workerData } from "node:worker_threads";
import { binding } from "../../dist/lib/binding.js";

const aten = (name, overload = "") => {
  const operator = binding.findOperator(`aten::${name}`, overload);
  return (...args) => binding.call(operator.id, ...args);
};
const randn = aten("randn");
const mm = aten("mm");
const sum = aten("sum");

if (workerData.mode === "hold") {
  const held = [];
  for (let at = 0; at < workerData.tensors; at++) held.push(aten("ones")([1 << 20]));
  parentPort.postMessage({ handles: binding.memory().handles, bytes: binding.memory().bytes });
  setInterval(() => held.length, 1000);
} else if (workerData.mode === "profile") {
  binding.startProfiler(true, false, false);
  binding.beginProfilerRange("left open");
  binding.release(randn([4]));
  parentPort.postMessage("recording");
  setInterval(() => {}, 1000);
} else if (workerData.mode === "churn") {
  const full = aten("full");
  const live = [];
  let [state, wrong, freed] = [workerData.seed, 0, 0];
  const free = ([tensor, value, count]) => {
    if (binding.item(sum(tensor)) !== value * count) wrong++;
    binding.release(tensor);
    freed++;
  };
  for (let round = 0; round < workerData.rounds; round++) {
    const depth = binding.openScope();
    state = (state * 48271) % 2147483647;
    // Small enough for exact sums.
    const [value, count] = [state % 7, 1 + (state % 1_500_000)];
    const tensor = full([count], value);
    binding.keep(tensor);
    live.push([tensor, value, count]);
    if (live.length > 6) free(live.splice(state % live.length, 1)[0]);
    binding.closeScope(depth);
  }
  live.forEach(free);
  parentPort.postMessage({ wrong, freed });
} else {
  const generator = binding.createGenerator("cpu");
  binding.generatorManualSeed(generator, BigInt(workerData.seed));
  const draw = aten("randn", "generator");
  const sums = [];
  for (let round = 0; round < workerData.rounds; round++) {
    const depth = binding.openScope();
    const weights = draw([16, 16], generator);
    binding.setRequiresGrad(weights, true);
    const loss = sum(mm(weights, weights));
    binding.backward([loss], null, false, false, null);
    const gradient = binding.grad(weights, null);
    sums.push(binding.item(sum(gradient)));
    binding.release(gradient);
    binding.closeScope(depth);
    if (round === 10) parentPort.postMessage("running");
  }
  const failure = (() => {
    try {
      mm(randn([2, 3]), randn([2, 3]));
    } catch (error) {
      return error.code;
    }
    return null;
  })();
  parentPort.postMessage({ sums, failure, memory: binding.memory() });
}
