import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { safetensors, type Tensor, torch } from "../../lib/index.js";
import { packageRoot } from "../../lib/package-root.js";
import {
  type Kernels,
  WaveGPT,
  type WaveGPTOptions,
  type WaveNetMode,
} from "../../src/model/index.js";
import { device } from "../device.js";

const file = resolve(
  packageRoot(),
  process.env.WAVEGPT_GOLDEN_DIR ?? "../shared/golden",
  "seed_wavegpt.safetensors",
);
const present = existsSync(file);
// Where the file is said to be, or in CI, its absence is a failure.
if (!present && (process.env.WAVEGPT_GOLDEN_DIR || process.env.CI)) {
  throw new Error(`the reference's numbers are not at ${file}: set WAVEGPT_GOLDEN_DIR`);
}

/** Skips a test on a machine without the reference's numbers, which are no part of the repository. For `beforeEach`. */
export function skipWithoutGolden({ skip }: { skip: (reason: string) => void }): void {
  if (!present) skip(`the reference's numbers are not here: set WAVEGPT_GOLDEN_DIR (${file})`);
}

/**
 * What the reference computes, on the device under test, from `WAVEGPT_GOLDEN_DIR` or `../shared/golden` beside the
 * repository. Empty where it is not there, and the tests skip themselves.
 */
export function loadGolden(): Record<string, Tensor> {
  return present ? safetensors.load(file, { device }) : {};
}

/** The configuration that they were computed with. */
export function goldenOptions(mode: WaveNetMode, kernels: Kernels = "fused"): WaveGPTOptions {
  return {
    vocabSize: 65,
    nEmbd: 32,
    nHeads: 4,
    nLayers: 2,
    blockSize: 64,
    dropout: 0,
    block: "reference",
    kernels,
    wavenet: { mode, layers: 3, reshapeFactor: 4 },
  };
}

/**
 * The model whose logits, losses and gradients the file holds. Its `weights.*` are the same model's after the
 * ten AdamW steps; those before them follow from the seed and the noise that the file was made with.
 */
export function goldenStart(mode: WaveNetMode, kernels: Kernels = "fused"): WaveGPT {
  torch.manualSeed(1);
  const model = new WaveGPT(goldenOptions(mode, kernels));
  torch.noGrad(() =>
    torch.tidy(() => {
      for (const parameter of model.parameters()) {
        parameter.add_(torch.randnLike(parameter).mul(0.02));
      }
      model.beta.fill_(0.3);
    }),
  );
  return model.to(device);
}

/** The entries whose names start with `prefix`, without it. */
export function under(tensors: Record<string, Tensor>, prefix: string): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(tensors)
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, tensor]) => [name.slice(prefix.length), tensor]),
  );
}
