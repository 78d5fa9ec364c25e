import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { packageRoot } from "../../lib/package-root.js";

/** QEMU's emulation of single programs (Debian: apt-get install qemu-user), which knows processors without AVX. */
const emulator = (process.env.PATH ?? "")
  .split(path.delimiter)
  .map((folder) => path.join(folder, "qemu-x86_64"))
  .find((file) => existsSync(file));

const index = (folder: string) =>
  JSON.stringify(path.join(packageRoot(), "dist", folder, "index.js"));
const SCRIPT = `
const [{ torch }, { WaveGPT, GPT2Tokenizer }] = await Promise.all([import(${index("lib")}), import(${index("src")})]);
torch.manualSeed(1);
const model = new WaveGPT({ vocabSize: 20, nEmbd: 16, nHeads: 2, nLayers: 1, blockSize: 8 });
const x = torch.randint(20, [2, 8]);
const { loss } = model.forward(x, { previous: x, targets: x });
loss.backward();
const gradient = [...model.parameters()].reduce((sum, p) => sum + p.grad.abs().sum().item(), 0);
const tokens = [...new GPT2Tokenizer().encode("hello there")];
console.log(JSON.stringify({ capability: torch.buildInformation().cpuCapability, loss: loss.item(), gradient, tokens }));
`;

function compute(processor?: string) {
  const node = [process.execPath, "--input-type=module", "-e", SCRIPT];
  const [file = "", ...rest] = processor ? [emulator ?? "", "-cpu", processor, ...node] : node;
  const run = spawnSync(file, rest, {
    encoding: "utf8",
    env: { ...process.env, OMP_NUM_THREADS: "1" },
  });
  if (run.status !== 0) throw new Error(`${processor}: ${run.signal ?? ""} ${run.stderr}`);
  return JSON.parse(run.stdout) as {
    capability: string;
    loss: number;
    gradient: number;
    tokens: number[];
  };
}

test.runIf(emulator !== undefined && process.arch === "x64").each([
  ["Nehalem", "DEFAULT"],
  ["Haswell", "AVX2"],
])(
  "on a %s, the kernels for %s compute the same as those of this processor",
  (processor, capability) => {
    const here = compute();
    const there = compute(processor);
    expect(there.capability).toBe(capability);
    expect(there.loss).toBeCloseTo(here.loss, 5);
    expect(there.gradient / here.gradient).toBeCloseTo(1, 4);
    expect(there.tokens).toEqual(here.tokens);
  },
);
