// Run by fuzz.test.ts in a process of its own: calls every function of the binding with arguments of any kind.
//   node fuzz-functions.mjs SEED CALLS_PER_FUNCTION
import { writeSync } from "node:fs";
import { binding } from "../../dist/lib/binding.js";
import { buildPool, junk, random } from "./fuzz-values.mjs";

const [seed, callsPerFunction] = process.argv.slice(2).map(Number);
const rng = random(seed);
const pick = (items) => items[Math.floor(rng() * items.length)];
let calls = 0;
let succeeded = 0;

const generators = () => [binding.defaultGenerator("cpu"), binding.createGenerator("cpu")];
const typedArrays = [
  new Float32Array(6),
  new BigInt64Array(6),
  new Uint16Array(2),
  new Uint8Array(0),
  new Float64Array(1),
];

function value(pool) {
  switch (Math.floor(rng() * 12)) {
    case 0:
    case 1:
    case 2:
      return pick(pool.tensors);
    case 3:
      return pick(typedArrays);
    case 4:
      return pick([[2, 3], [6], [], [0], [-1], [1e9, 1e9]]);
    case 5:
      return pick(["cpu", "cuda", "meta", "mps", "cpu:3", "aten::add", "Tensor"]);
    case 6:
      return pick([0, 1, 2, 4, 6, 11, 15]);
    case 7:
      return rng() < 0.5;
    case 8:
      return pick([0n, 42n, -1n, 2n ** 64n - 1n]);
    case 9:
      return Array.from({ length: Math.floor(rng() * 3) }, () => pick([...pool.tensors, null]));
    case 10:
      return pick(generators());
    default:
      return junk(pool, rng);
  }
}

for (const name of Object.keys(binding)) {
  for (let call = 0; call < callsPerFunction; call++) {
    const scope = binding.openScope();
    const pool = buildPool(binding, rng);
    const args = Array.from({ length: Math.floor(rng() * 7) }, () => value(pool));
    writeSync(3, `${`${call} ${name}/${args.length}`.padEnd(400)}\n`, 0);
    calls++;
    try {
      binding[name](...args);
      succeeded++;
    } catch (error) {
      if (!(error instanceof Error) || !String(error.code).startsWith("ERR_WAVEGPT_")) throw error;
    }
    while (binding.isInferenceMode()) binding.exitInferenceMode();
    for (;;) {
      try {
        binding.exitAutocast();
      } catch {
        break;
      }
    }
    binding.setGradEnabled(true);
    while (binding.scopeDepth() >= scope) binding.closeScope(binding.scopeDepth());
  }
}
process.stdout.write(`${JSON.stringify({ calls, succeeded, refused: 0, operators: 0 })}\n`);
