import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { torch } from "../../lib/index.js";
import {
  type GPTConfig,
  resolveGPTConfig,
  resolveWaveGPTConfig,
  type WaveGPTConfig,
} from "../../src/model/config.js";
import { flopsPerToken } from "../../src/model/flops.js";
import { createModel } from "../../src/model/index.js";
import { temporaryFolder } from "../cli/command.js";
import { readChromeTrace } from "../lib/chrome-trace.js";
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

/** Operations of the products by weights that libtorch was asked for, by the sizes of their operands. */
function recorded(config: GPTConfig | WaveGPTConfig): number {
  const { kernels: _, ...sizes } = config;
  const kind = "wavenet" in config ? "wavegpt" : "gpt";
  using model = createModel(kind, { ...sizes, kernels: "composed" });
  const path = join(temporaryFolder(), "trace.json");
  using _scope = torch.scope();
  const tokens = () =>
    torch.randint(0, config.vocabSize, [2, config.blockSize], { dtype: "int64" });
  const [x, previous, targets] = [tokens(), tokens(), tokens()];
  const profile = torch.profiler.profile({ recordShapes: true }, () =>
    model.forward(x, { previous, targets }),
  );
  profile.exportChromeTrace(path);
  let flops = 0;
  for (const { name, args } of readChromeTrace(path).spans) {
    if (name !== "aten::addmm" && name !== "aten::mm") continue;
    const operands = (args!["Input Dims"] as number[][]).filter(({ length }) => length === 2);
    const [left, right] = operands.slice(-2) as [number[], number[]];
    flops += 2 * left[0]! * left[1]! * right[1]!;
  }
  return flops / (2 * config.blockSize);
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

  it("are what this package's own model asks libtorch for", () => {
    expect(recorded(config)).toBeCloseTo(ours.dense, 6);
  });

  it("are as many backward as PyTorch's", () => {
    const { dense, attention } = split(backward);
    expect(ours.training - ours.dense - ours.attention).toBeCloseTo(dense + attention / whole, 6);
  });
});
