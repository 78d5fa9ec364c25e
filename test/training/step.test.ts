// @module-tag gpu

import { describe, expect, it } from "vitest";
import { nn, optim, torch } from "../../lib/index.js";
import { DataLoader } from "../../src/data/index.js";
import { createModel } from "../../src/model/index.js";
import { CharTokenizer } from "../../src/tokenizer/index.js";
import { precisionOf } from "../../src/training/precision.js";
import { trainStep } from "../../src/training/step.js";
import { smallText } from "../cli/command.js";
import { device } from "../device.js";

const tokenizer = CharTokenizer.fromText(smallText());
const tokens = tokenizer.encode(smallText());
const plain = precisionOf("float32", device as "cpu");

function setUp(kind: "wavegpt" | "gpt" = "wavegpt") {
  torch.manualSeed(5);
  const model = createModel(kind, {
    vocabSize: tokenizer.vocabSize,
    nEmbd: 16,
    nHeads: 2,
    nLayers: 2,
    blockSize: 16,
    dropout: 0,
  }).to(device);
  const optimizer = new optim.AdamW(model.parameters(), { lr: 1e-3 });
  const loader = new DataLoader({ tokens, batchSize: 12, blockSize: 16, seed: 3, device });
  return { model, optimizer, loader };
}

function numbers(
  model: ReturnType<typeof setUp>["model"],
  what: "weight" | "gradient",
): number[][] {
  using _ = torch.scope();
  return model.parameters().map((parameter) => {
    const tensor = what === "weight" ? parameter.detach() : parameter.grad!;
    return [...(tensor.cpu().toTypedArray() as Float32Array)];
  });
}

function largestDifference(a: number[][], b: number[][]): number {
  return Math.max(...a.flatMap((row, i) => row.map((value, j) => Math.abs(value - b[i]![j]!))));
}

describe("gradient accumulation", () => {
  it.each([2, 3, 12])("in %i parts gives the whole batch's loss, gradients and steps", (parts) => {
    const [one, many] = [setUp(), setUp()];
    // Batches with rows at the text's ends, which count fewer targets, must come up for this to test much.
    let uneven = 0;
    for (let step = 0; step < 40; step++) {
      using _ = torch.scope();
      const options = { clip: 0, precision: plain };
      const batch = one.loader.next();
      if (batch.targets < batch.rows * 16) uneven++;
      const a = trainStep(one.model, one.optimizer, batch, { ...options, accumulate: 1 });
      const b = trainStep(many.model, many.optimizer, many.loader.next(), {
        ...options,
        accumulate: parts,
      });
      expect(Math.abs(a.loss.number() - b.loss.number())).toBeLessThan(2e-5);
      if (step === 0) {
        expect(
          largestDifference(numbers(one.model, "gradient"), numbers(many.model, "gradient")),
        ).toBeLessThan(1e-6);
      }
    }
    expect(uneven).toBeGreaterThan(0);
    expect(
      largestDifference(numbers(one.model, "weight"), numbers(many.model, "weight")),
    ).toBeLessThan(1e-3);
  });
});

describe("clipping", () => {
  it("reports the norm and steps by the gradient scaled down to the limit", () => {
    const [ours, reference] = [setUp(), setUp()];
    using _ = torch.scope();
    const options = { accumulate: 1, clip: 0.01, precision: plain };
    for (let step = 0; step < 3; step++) {
      const { gradientNorm } = trainStep(ours.model, ours.optimizer, ours.loader.next(), options);
      const batch = reference.loader.next();
      reference.optimizer.zeroGrad();
      reference.model.forward(batch.x, { ...batch, targets: batch.y }).loss.backward();
      const norm = nn.clipGradNorm_(reference.model.parameters(), 0.01);
      reference.optimizer.step();
      expect(gradientNorm!.number()).toBeGreaterThan(0.1);
      expect(gradientNorm!.number()).toBeCloseTo(norm.number(), 5);
    }
    expect(
      largestDifference(numbers(ours.model, "weight"), numbers(reference.model, "weight")),
    ).toBeLessThan(1e-5);
    // Adam's steps hardly depend on the gradient's scale; its means do.
    const [mean, expected] = [ours, reference].map(({ optimizer }) =>
      torch.cat(
        Object.values(optimizer.stateDict().state).map((state) => state.exp_avg!.flatten()),
      ),
    );
    expect(mean!.sub(expected!).norm().div(expected!.norm()).number()).toBeLessThan(1e-4);
    expect(Math.hypot(...numbers(reference.model, "gradient").flat())).toBeCloseTo(0.01, 5);
  });

  it("leaves the gradient alone where it is off", () => {
    const { model, optimizer, loader } = setUp();
    using _ = torch.scope();
    const { gradientNorm } = trainStep(model, optimizer, loader.next(), {
      accumulate: 1,
      clip: 0,
      precision: plain,
    });
    expect(gradientNorm).toBeNull();
    expect(Math.hypot(...numbers(model, "gradient").flat())).toBeGreaterThan(0.1);
  });
});

it.each(["wavegpt", "gpt"] as const)("a hundred steps of %s leave no tensor behind", (kind) => {
  const { model, optimizer, loader } = setUp(kind);
  const step = () => {
    using _ = torch.scope();
    const batch = loader.next();
    trainStep(model, optimizer, batch, {
      accumulate: 2,
      clip: 1,
      precision: precisionOf("bfloat16", device as "cpu"),
    });
  };
  // The first steps make gradients and optimizer state; a pass's shorter blocks come up now and then.
  for (let i = 0; i < 5; i++) step();
  const before = torch.memory();
  for (let i = 0; i < 100; i++) step();
  const after = torch.memory();
  expect(after.handles).toBe(before.handles);
  expect(after.bytes).toBe(before.bytes);
  expect(after.scopes).toBe(0);
});

it("bfloat16 computes in bfloat16, near float32, and keeps weights and gradients float32", () => {
  const losses = (["float32", "bfloat16"] as const).map((dtype) => {
    const { model, optimizer, loader } = setUp();
    const precision = precisionOf(dtype, device as "cpu");
    {
      using _ = torch.scope();
      const batch = loader.next();
      const { logits } = precision(() => model.forward(batch.x));
      expect(logits.dtype).toBe(dtype);
    }
    let last = 0;
    for (let i = 0; i < 20; i++) {
      using _ = torch.scope();
      last = trainStep(model, optimizer, loader.next(), {
        accumulate: 1,
        clip: 0,
        precision,
      }).loss.number();
    }
    for (const parameter of model.parameters()) {
      expect(parameter.dtype).toBe("float32");
      expect(parameter.grad!.dtype).toBe("float32");
    }
    return last;
  });
  expect(losses[0]).not.toBe(losses[1]);
  expect(Math.abs(losses[0]! - losses[1]!)).toBeLessThan(0.05);
});
