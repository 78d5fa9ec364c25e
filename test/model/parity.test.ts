// @module-tag gpu

import { beforeEach, describe, expect, it } from "vitest";
import { optim, type Tensor, torch } from "../../lib/index.js";
import { KERNELS, WaveGPT } from "../../src/model/index.js";
import { device, float32Tolerance } from "../device.js";
import { maxError } from "./compare.js";
import { goldenOptions, goldenStart, loadGolden, skipWithoutGolden, under } from "./golden.js";

beforeEach(skipWithoutGolden);

const golden = loadGolden();
const x = golden["input.x"]!;
const previous = golden["input.x_prev"]!;
const targets = golden["input.y"]!;

describe.each([
  ["leaky-reference", "composed", "leaky."],
  ["leaky-reference", "fused", "leaky."],
  ["previous", "composed", "previous."],
  ["previous", "fused", "previous."],
] as const)("WaveGPT beside the reference, %s, %s kernels", (mode, kernels, prefix) => {
  const expected = under(golden, prefix);

  it("gives its logits, its loss and every gradient", () => {
    using _ = torch.scope();
    const model = goldenStart(mode, kernels);
    expect(model.alpha()).toBeCloseTo(0.7, 6);
    const { logits, loss } = model.forward(x, { previous, targets });
    loss.backward();
    const computed: Record<string, Tensor> = { logits, loss };
    for (const [name, parameter] of model.namedParameters()) {
      if (parameter.grad !== null) computed[`grad.${name}`] = parameter.grad;
    }
    const { adamw_losses: _losses, ...tensors } = expected;
    expect(Object.keys(computed).sort()).toEqual(Object.keys(tensors).sort());
    const errors = Object.entries(tensors).map(
      ([name, tensor]) => [name, maxError(computed[name]!, tensor)] as const,
    );
    expect(errors.filter(([, error]) => !(error < float32Tolerance))).toEqual([]);
    if (process.env.WAVEGPT_SHOW_ERRORS) {
      const worst = [...errors].sort((a, b) => b[1] - a[1])[0]!;
      const by = Object.fromEntries(errors);
      console.log(mode, kernels, { logits: by.logits, loss: by.loss, worst });
    }
  });
});

const weights = under(golden, "weights.");

it.each(KERNELS)(
  "follows the reference's ten AdamW losses and ends at its weights, %s",
  (kernels) => {
    const model = goldenStart("previous", kernels);
    const optimizer = new optim.AdamW(model.parameters(), { lr: 3e-4 });
    const losses: number[] = [];
    for (let step = 0; step < 10; step++) {
      using _ = torch.scope();
      const { loss } = model.forward(x, { previous, targets });
      losses.push(loss.number());
      optimizer.zeroGrad();
      loss.backward();
      optimizer.step();
    }
    const errors = (golden["previous.adamw_losses"]!.tolist() as number[]).map((loss, step) =>
      Math.abs(loss - losses[step]!),
    );
    expect(errors.length).toBe(10);
    expect(Math.max(...errors)).toBeLessThan(float32Tolerance);
    expect(losses[9]).toBeLessThan(losses[0]! - 0.1);
    using _ = torch.scope();
    const ends = model.namedParameters().map(([name, p]) => maxError(p, weights[name]!));
    // A step moves a weight by about 3e-4, whatever its gradient: where that is all rounding, by rounding.
    expect(Math.max(...ends)).toBeLessThan(3e-4);
    if (process.env.WAVEGPT_SHOW_ERRORS) {
      console.log("adamw", kernels, { losses: Math.max(...errors), weights: Math.max(...ends) });
    }
  },
);

it.each([
  ["previous", 4.102119445800781],
  ["leaky-reference", 4.144369602203369],
] as const)("computes the reference's loss from its checkpoint, %s", (mode, expected) => {
  using _ = torch.scope();
  const model = new WaveGPT(goldenOptions(mode), { device });
  model.loadReferenceStateDict(weights);
  expect(model.alpha()).toBeCloseTo(1 - weights.beta!.number(), 6);
  // What the reference's own code gives for these weights and tokens.
  const { loss } = model.forward(x, { previous, targets });
  expect(Math.abs(loss.number() - expected)).toBeLessThan(float32Tolerance);
});
