import { expect, it } from "vitest";
import { torch } from "../../lib/index.js";
import { defaultSettings } from "../../src/config/resolve.js";
import { buildModel, buildOptimizer } from "../../src/training/setup.js";

it.each(["all", "matrices"] as const)("decays %s", (weightDecayOf) => {
  const settings = {
    ...defaultSettings(),
    ...{ nEmbd: 16, nHeads: 2, nLayers: 1, blockSize: 8, weightDecay: 0.5, learningRate: 0.1 },
    weightDecayOf,
  };
  using model = buildModel({ ...settings, model: "gpt" }, 7, "cpu");
  using optimizer = buildOptimizer(settings, model);
  using _ = torch.scope();
  for (const parameter of model.parameters()) parameter.grad = torch.zerosLike(parameter);
  const before = model.parameters().map((parameter) => parameter.detach().clone());
  optimizer.step();
  // Without a gradient, a step is the decay alone: weights times 1 - lr * decay.
  for (const [i, parameter] of model.parameters().entries()) {
    const decays = weightDecayOf === "all" || parameter.shape.length === 2;
    const expected = before[i]!.mul(decays ? 0.95 : 1);
    expect(parameter.sub(expected).abs().max().number()).toBeLessThan(1e-6);
  }
  expect(optimizer.paramGroups.flatMap(({ params }) => params)).toHaveLength(before.length);
});
