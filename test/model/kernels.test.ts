import { describe, expect, it } from "vitest";
import { type Tensor, torch } from "../../lib/index.js";
import { createModel, type Kernels, type WaveGPTOptions } from "../../src/model/index.js";
import { device, deviceType, float32Tolerance } from "../device.js";
import { maxError, randomTokens } from "./compare.js";

const VOCAB = 65;
const base = { vocabSize: VOCAB, nEmbd: 24, nHeads: 3, nLayers: 2, blockSize: 29, dropout: 0.2 };

const CASES: [string, "gpt" | "wavegpt", WaveGPTOptions][] = [
  ["GPT, pre-norm block", "gpt", { ...base, block: "pre-norm" }],
  ["GPT, reference block", "gpt", { ...base, block: "reference" }],
  ["WaveGPT, pre-norm block", "wavegpt", { ...base, block: "pre-norm" }],
  ["WaveGPT, reference block", "wavegpt", { ...base, block: "reference" }],
  [
    "WaveGPT, leaky",
    "wavegpt",
    { ...base, wavenet: { mode: "leaky-reference", layers: 2, reshapeFactor: 3 } },
  ],
];

function makeModel(kind: "gpt" | "wavegpt", options: WaveGPTOptions, kernels: Kernels) {
  torch.manualSeed(5);
  const model = createModel(kind, { ...options, kernels }, { device });
  torch.noGrad(() => {
    for (const [name, parameter] of model.namedParameters()) {
      if (name === "beta") parameter.fill_(0.3);
    }
  });
  return model;
}

describe.each(CASES)("%s", (_name, kind, options) => {
  const x = randomTokens(3, 23, VOCAB);
  const previous = randomTokens(3, 20, VOCAB);
  const previousMask = torch.ones([3, 20], { dtype: "bool", device });
  previousMask.narrow(0, 1, 1).fill_(false);
  const targets = randomTokens(3, 23, VOCAB);
  targets.narrow(1, 3, 2).fill_(-100);

  function compute(kernels: Kernels, { dropout }: { dropout: boolean }): Map<string, Tensor> {
    const model = makeModel(kind, { ...options, ...(!dropout && { dropout: 0 }) }, kernels);
    const { logits, loss } = model.forward(x, { previous, previousMask, targets });
    loss.backward();
    return new Map<string, Tensor>([
      ["logits", logits.detach()],
      ["loss", loss.detach()],
      ...model
        .namedParameters()
        .flatMap(([name, p]): [string, Tensor][] => (p.grad === null ? [] : [[name, p.grad]])),
    ]);
  }

  it("computes by fused kernels what PyTorch's layers compute, gradients included", () => {
    using _ = torch.scope();
    const composed = compute("composed", { dropout: false });
    const fused = compute("fused", { dropout: false });
    expect([...fused.keys()].sort()).toEqual([...composed.keys()].sort());
    const wrong = [...composed].filter(
      ([name, tensor]) => !(maxError(fused.get(name)!, tensor) < float32Tolerance),
    );
    expect(wrong.map(([name]) => name)).toEqual([]);
  });

  it("drops in training, the same for the same seed, and nothing in evaluation", () => {
    using _ = torch.scope();
    const model = makeModel(kind, options, "fused");
    const lossOf = (seed: number) => {
      torch.manualSeed(seed);
      return model.forward(x, { previous, previousMask, targets }).loss.number();
    };
    expect(lossOf(1)).toBe(lossOf(1));
    expect(lossOf(1)).not.toBe(lossOf(2));
    model.eval();
    const quiet = lossOf(1);
    expect(lossOf(2)).toBe(quiet);
    const composed = makeModel(kind, options, "composed");
    composed.eval();
    const { loss } = composed.forward(x, { previous, previousMask, targets });
    expect(Math.abs(loss.number() - quiet)).toBeLessThan(float32Tolerance);
    // The mean over many masks comes near what is computed without them.
    model.train();
    const losses = Array.from({ length: 40 }, (_, seed) => lossOf(seed));
    const mean = losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
    expect(Math.abs(mean - quiet)).toBeLessThan(0.1);
  });

  it("is as near in bfloat16 as PyTorch's layers are", () => {
    using _ = torch.scope();
    const exact = compute("composed", { dropout: false });
    const lowered = (kernels: Kernels) =>
      torch.autocast({ deviceType, dtype: "bfloat16" }, () => compute(kernels, { dropout: false }));
    const [fused, composed] = [lowered("fused"), lowered("composed")];
    const error = (tensors: Map<string, Tensor>) =>
      [...exact].reduce((sum, [name, tensor]) => {
        const got = tensors.get(name)!.to("float32");
        return sum + got.sub(tensor).norm().number() / (tensor.norm().number() + 1e-6);
      }, 0) / exact.size;
    expect(error(fused)).toBeLessThan(1.1 * error(composed));
    for (const [name, tensor] of fused) {
      if (name !== "logits") expect(tensor.dtype).toBe("float32");
    }
  });
});
