// @module-tag gpu

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { safetensors, torch } from "../../lib/index.js";
import { packageRoot } from "../../lib/package-root.js";
import { createModel, WaveGPT, type WaveGPTConfig } from "../../src/model/index.js";
import { pythonFile } from "../python.js";
import { identical, maxError } from "./compare.js";
import { under } from "./golden.js";

const folder = mkdtempSync(join(tmpdir(), "wavegpt-model-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const base = {
  vocabSize: 17,
  nEmbd: 24,
  nHeads: 3,
  nLayers: 2,
  dropout: 0.2,
  // The fused kernels draw other numbers for dropout.
  kernels: "composed",
} as const;

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

const seed = 1234;

beforeAll(() => {
  const configs = cases.map(([, config]) => ({ ...config, seed }));
  const script = resolve(packageRoot(), "test/model/pytorch.py");
  pythonFile(script, JSON.stringify(configs), folder);
});

it.each(cases.map(([name, config], index) => [name, config, index] as const))(
  "%s starts from PyTorch's weights and drops what PyTorch drops, for the same seed",
  (_name, config, index) => {
    using _ = torch.scope();
    const expected = safetensors.load(join(folder, `${index}.safetensors`));
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
  },
);
