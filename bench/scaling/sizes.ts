import type { Settings } from "../../src/config/settings.js";

/** What of a training is made larger and smaller; the others stay as the preset has them. */
export interface Dimension {
  readonly name: string;
  readonly setting: "batchSize" | "blockSize" | "nLayers";
  readonly sizes: readonly number[];
}

/**
 * Around the preset: 32 blocks of 64 tokens, 4 layers. Attention's own work grows with the square of the block size, so
 * no step is linear in it for ever.
 */
export const DIMENSIONS: readonly Dimension[] = [
  { name: "blocks in a batch", setting: "batchSize", sizes: [16, 32, 64, 128] },
  { name: "tokens in a block", setting: "blockSize", sizes: [32, 64, 128, 256] },
  { name: "layers", setting: "nLayers", sizes: [2, 4, 8, 16] },
];

export function resized(settings: Settings, { setting }: Dimension, size: number): Settings {
  return { ...settings, [setting]: size };
}
