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
  "wavegpt, causal": resolveWaveGPTConfig({
    ...SIZES,
    wavenet: { mode: "causal", layers: 5, memory: 0 },
  }),
  "causal with retention": resolveWaveGPTConfig({
    ...SIZES,
    wavenet: { mode: "causal", layers: 5, memory: 3 },
  }),
  "retention alone, alpha 1": resolveWaveGPTConfig({
    ...SIZES,
    wavenet: { mode: "causal", layers: 2, memory: 2, alpha: "one" },
  }),
  "causal, alpha 1": resolveWaveGPTConfig({
    ...SIZES,
    wavenet: { mode: "causal", layers: 3, memory: 0, alpha: "one" },
  }),
};

const script = fileURLToPath(new URL("flops.py", import.meta.url));
const counted = JSON.parse(pythonFile(script, JSON.stringify(Object.values(CONFIGS)))) as Counted[];

/** Products without a weight are attention's; those that are added to something, in flops.py, the state's. */
function split(operators: Record<string, number>): Record<"dense" | "attention" | "state", number> {
  const { "aten.bmm": attention = 0, "aten.baddbmm": state = 0, ...others } = operators;
  const dense = Object.values(others).reduce((sum, flops) => sum + flops, 0);
  return { dense, attention, state };
}

function isLearnt(config: GPTConfig | WaveGPTConfig): boolean {
  return "wavenet" in config && config.wavenet.mode === "causal" && config.wavenet.alpha !== "one";
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
    expect(ours.state).toBeCloseTo(split(forward).state, 6);
  });

  it("are what this package's own model asks libtorch for", () => {
    expect(recorded(config)).toBeCloseTo(ours.dense, 6);
  });

  it("are as many backward as PyTorch's", () => {
    const { dense, attention } = split(backward);
    // Of the state's products, backward has the queries' gradient, as large as what gave it.
    const state = isLearnt(config) ? split(forward).state / 2 : 0;
    const forwardOnly = ours.dense + ours.attention + ours.state;
    expect(ours.training - forwardOnly).toBeCloseTo(dense + (attention - state) / whole + state, 6);
  });
});
