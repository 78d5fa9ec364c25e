// @module-tag gpu

import { describe, expect, it } from "vitest";
import { type Tensor, torch } from "../../lib/index.js";
import { createModel, KERNELS, type Kernels, type WaveGPTOptions } from "../../src/model/index.js";
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

interface Inputs {
  readonly x: Tensor;
  readonly previous: Tensor;
  readonly previousMask: Tensor;
  readonly targets: Tensor;
}

function draw(seed: number): Inputs {
  torch.manualSeed(seed);
  const previousMask = torch.ones([3, 20], { dtype: "bool", device });
  previousMask.narrow(0, 1, 1).fill_(false);
  const targets = randomTokens(3, 23, VOCAB);
  targets.narrow(1, 3, 2).fill_(-100);
  return {
    x: randomTokens(3, 23, VOCAB),
    previous: randomTokens(3, 20, VOCAB),
    previousMask,
    targets,
  };
}

describe.each(CASES)("%s", (_name, kind, options) => {
  /** Logits, loss and gradients, without dropout. */
  function compute(kernels: Kernels, { x, ...rest }: Inputs): Map<string, Tensor> {
    const model = makeModel(kind, { ...options, dropout: 0 }, kernels);
    const { logits, loss } = model.forward(x, rest);
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
    const inputs = draw(1);
    const composed = compute("composed", inputs);
    const fused = compute("fused", inputs);
    expect([...fused.keys()].sort()).toEqual([...composed.keys()].sort());
    const wrong = [...composed].filter(
      ([name, tensor]) => !(maxError(fused.get(name)!, tensor) < float32Tolerance),
    );
    expect(wrong.map(([name]) => name)).toEqual([]);
  });

  it("drops in training, the same for the same seed, and nothing in evaluation", () => {
    using _ = torch.scope();
    const { x, previous, previousMask, targets } = draw(1);
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
    // Squares, of each tensor over all draws: the error of single draws is chance, where a ReLU's input or the
    // gradient of one number (beta) comes near zero.
    const squares = new Map<string, { exact: number; fused: number; composed: number }>();
    for (let seed = 0; seed < 12; seed++) {
      using _ = torch.scope();
      const inputs = draw(seed);
      const exact = compute("composed", inputs);
      for (const kernels of KERNELS) {
        const got = torch.autocast({ deviceType, dtype: "bfloat16" }, () =>
          compute(kernels, inputs),
        );
        for (const [name, tensor] of exact) {
          const sums = squares.get(name) ?? { exact: 0, fused: 0, composed: 0 };
          squares.set(name, sums);
          const lowered = got.get(name)!;
          if (name !== "logits") expect(lowered.dtype).toBe("float32");
          sums[kernels] += lowered.to("float32").sub(tensor).pow(2).sum().number();
          if (kernels === "composed") sums.exact += tensor.pow(2).sum().number();
        }
      }
    }
    const error = (kernels: Kernels) =>
      [...squares.values()].reduce((sum, s) => sum + Math.sqrt(s[kernels] / s.exact), 0) /
      squares.size;
    expect(error("fused")).toBeLessThan(1.1 * error("composed"));
  });
});
