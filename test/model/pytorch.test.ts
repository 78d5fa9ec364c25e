import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { safetensors, torch } from "../../lib/index.js";
import { packageRoot } from "../../lib/package-root.js";
import { createModel, WaveGPT, type WaveGPTConfig } from "../../src/model/index.js";
import { pythonFile } from "../python.js";
import { identical, maxError } from "./compare.js";
import { under } from "./golden.js";

const folder = mkdtempSync(join(tmpdir(), "wavegpt-model-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const base = { vocabSize: 17, nEmbd: 24, nHeads: 3, nLayers: 2, dropout: 0.2 };

const cases: [string, Omit<WaveGPTConfig, "wavenet"> & Partial<WaveGPTConfig>][] = [
  ["GPT, reference block", { ...base, blockSize: 16, block: "reference" }],
  ["GPT, pre-norm block", { ...base, blockSize: 23, block: "pre-norm" }],
  [
    "WaveGPT, a window that fits",
    {
      ...base,
      blockSize: 64,
      block: "reference",
      wavenet: { mode: "previous", layers: 3, reshapeFactor: 4 },
    },
  ],
  [
    "WaveGPT, output pooling and padding",
    {
      ...base,
      blockSize: 29,
      block: "pre-norm",
      wavenet: { mode: "previous", layers: 2, reshapeFactor: 3 },
    },
  ],
];

describe.each(cases)("%s", (_name, config) => {
  it("starts from PyTorch's weights and drops what PyTorch drops, for the same seed", () => {
    using _ = torch.scope();
    const seed = 1234;
    const file = join(folder, "expected.safetensors");
    pythonFile(
      resolve(packageRoot(), "test/model/pytorch.py"),
      JSON.stringify({ ...config, seed }),
      file,
    );
    const expected = safetensors.load(file);
    torch.manualSeed(seed);
    const model = createModel(config.wavenet ? "wavegpt" : "gpt", config);
    const own = model.stateDict();
    const weights = under(expected, "weights.");
    expect(Object.keys(own).sort()).toEqual(Object.keys(weights).sort());
    expect(Object.keys(own).filter((key) => !identical(own[key]!, weights[key]!))).toEqual([]);

    if (model instanceof WaveGPT) torch.noGrad(() => model.beta.fill_(0.25));
    torch.manualSeed(seed + 1);
    const { logits } = model.forward(expected.x!, { previous: expected.previous! });
    expect(maxError(logits, expected.logits!)).toBeLessThan(1e-5);
  });
});
