import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { safetensors, type Tensor, torch } from "../../lib/index.js";
import { packageRoot } from "../../lib/package-root.js";
import { WaveGPT, type WaveGPTOptions, type WaveNetMode } from "../../src/model/index.js";
import { device } from "../device.js";

/** What the reference computes, on the device under test, from `WAVEGPT_GOLDEN_DIR` or `../shared/golden` beside the repository. */
export function loadGolden(): Record<string, Tensor> {
  const folder = process.env.WAVEGPT_GOLDEN_DIR ?? "../shared/golden";
  const path = resolve(packageRoot(), folder, "seed_wavegpt.safetensors");
  if (!existsSync(path)) {
    throw new Error(`the reference's numbers are not at ${path}: set WAVEGPT_GOLDEN_DIR`);
  }
  return safetensors.load(path, { device });
}

/** The configuration that they were computed with. */
export function goldenOptions(mode: WaveNetMode): WaveGPTOptions {
  return {
    vocabSize: 65,
    nEmbd: 32,
    nHeads: 4,
    nLayers: 2,
    blockSize: 64,
    dropout: 0,
    block: "reference",
    wavenet: { mode, layers: 3, reshapeFactor: 4 },
  };
}

/**
 * The model whose logits, losses and gradients the file holds. Its `weights.*` are the same model's after the
 * ten AdamW steps; those before them follow from the seed and the noise that the file was made with.
 */
export function goldenStart(mode: WaveNetMode): WaveGPT {
  torch.manualSeed(1);
  const model = new WaveGPT(goldenOptions(mode));
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
