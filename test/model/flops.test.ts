import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { resolveGPTConfig, resolveWaveGPTConfig } from "../../src/model/config.js";
import { flopsPerToken } from "../../src/model/flops.js";
import { pythonFile } from "../python.js";

type Counted = Record<"forward" | "backward", Record<string, number>>;

const SIZES = { vocabSize: 65, nEmbd: 32, nHeads: 4, nLayers: 3, blockSize: 16, dropout: 0 };
const CONFIGS = {
  gpt: resolveGPTConfig(SIZES),
  "a longer block": resolveGPTConfig({ ...SIZES, blockSize: 40, vocabSize: 11 }),
  "wavegpt, previous": resolveWaveGPTConfig(SIZES),
  "previous with a last merge": resolveWaveGPTConfig({
    ...SIZES,
    blockSize: 24,
    wavenet: { layers: 2 },
  }),
  "wavegpt, causal": resolveWaveGPTConfig({ ...SIZES, wavenet: { mode: "causal", layers: 5 } }),
  "causal, alpha 1": resolveWaveGPTConfig({
    ...SIZES,
    wavenet: { mode: "causal", layers: 3, alpha: "one" },
  }),
};

const script = fileURLToPath(new URL("flops.py", import.meta.url));
const counted = JSON.parse(pythonFile(script, JSON.stringify(Object.values(CONFIGS)))) as Counted[];

/** Products without a weight are attention's. */
function split(operators: Record<string, number>): { dense: number; attention: number } {
  let dense = 0;
  let attention = 0;
  for (const [name, flops] of Object.entries(operators)) {
    if (name === "aten.bmm") attention += flops;
    else dense += flops;
  }
  return { dense, attention };
}

describe.each(Object.keys(CONFIGS))("the operations of %s", (name) => {
  const config = CONFIGS[name as keyof typeof CONFIGS];
  const { forward, backward } = counted[Object.keys(CONFIGS).indexOf(name)]!;
  const ours = flopsPerToken(config);
  const whole = (2 * config.blockSize) / (config.blockSize + 1);

  it("are what PyTorch's counter counts, attention but for what causality hides", () => {
    expect(ours.dense).toBeCloseTo(split(forward).dense, 6);
    expect(ours.attention * whole).toBeCloseTo(split(forward).attention, 6);
  });

  it("are as many backward as PyTorch's", () => {
    const { dense, attention } = split(backward);
    expect(ours.training - ours.dense - ours.attention).toBeCloseTo(dense + attention / whole, 6);
  });
});
