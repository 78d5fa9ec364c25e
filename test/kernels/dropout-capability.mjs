// Run by dropout.test.ts in a process of its own, whose ATEN_CPU_CAPABILITY chooses the kernels' build and whose number
// of threads is the argument: prints a digest of what is dropped for several rates, seeds and types.
import { createHash } from "node:crypto";
import { torch } from "../../dist/lib/index.js";

torch.setNumThreads(Number(process.argv[2]));
const mask = torch.ops.find("wavegpt::dropout_mask.default");
const dropout = torch.ops.find("wavegpt::dropout.default");
const digest = createHash("sha256");
const scope = torch.scope();
for (const dtype of ["float32", "float64"]) {
  for (const [p, seed] of [
    [0.2, 0n],
    [0.5, 0x0123456789abcdefn],
    [0.9, -1n],
  ]) {
    digest.update(new Uint8Array(mask([300_007], p, seed, { dtype }).toTypedArray().buffer));
  }
  torch.manualSeed(9);
  const y = dropout(torch.ones([3, 40_009], { dtype }), 0.3, true);
  digest.update(new Uint8Array(y.toTypedArray().buffer));
}
scope.dispose();
process.stdout.write(digest.digest("hex"));
