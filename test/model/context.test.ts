// @module-tag gpu

import { describe, expect, it } from "vitest";
import { type Tensor, torch } from "../../lib/index.js";
import { GPT, WaveGPT } from "../../src/model/index.js";
import { device, deviceType } from "../device.js";
import { identical, maxError, randomTokens } from "./compare.js";

const VOCAB = 13;

function evaluated(blockSize: number): WaveGPT {
  torch.manualSeed(1);
  const model = new WaveGPT(
    { vocabSize: VOCAB, nEmbd: 16, nHeads: 4, nLayers: 2, blockSize },
    { device },
  );
  torch.noGrad(() => model.beta.fill_(0.3));
  return model.eval();
}

function mask(rows: boolean[][]): Tensor {
  return torch.tensor(rows, { dtype: "bool", device });
}

describe("WaveGPT's previous context", () => {
  it("may be absent: the decoder speaks alone, like a GPT of the same weights", () => {
    using _ = torch.scope();
    const model = evaluated(16);
    const gpt = new GPT(
      { vocabSize: VOCAB, nEmbd: 16, nHeads: 4, nLayers: 2, blockSize: 16 },
      { device },
    );
    gpt.loadStateDict(
      Object.fromEntries(
        Object.entries(model.stateDict()).filter(
          ([name]) => name !== "beta" && !name.startsWith("wavenet."),
        ),
      ),
    );
    gpt.eval();
    const x = randomTokens(3, 9, VOCAB);
    const alone = model.forward(x).logits;
    expect(identical(alone, gpt.forward(x).logits)).toBe(true);
    // It is what x makes it, not the constant that an unused decoder would leave.
    expect(identical(alone, model.forward(x.add(1).remainder(VOCAB)).logits)).toBe(false);
    expect(identical(alone, model.forward(x, { previous: null }).logits)).toBe(true);
  });

  it("may be absent in some rows of a batch", () => {
    using _ = torch.scope();
    const model = evaluated(8);
    const x = randomTokens(3, 8, VOCAB);
    const previous = randomTokens(3, 8, VOCAB);
    const yes = new Array<boolean>(8).fill(true);
    const no = new Array<boolean>(8).fill(false);
    const { logits } = model.forward(x, { previous, previousMask: mask([yes, no, yes]) });
    const whole = model.forward(x, { previous }).logits;
    const alone = model.forward(x).logits;
    const row = (tensor: Tensor, at: number) => tensor.narrow(0, at, 1);
    for (const at of [0, 2]) expect(maxError(row(logits, at), row(whole, at))).toBeLessThan(1e-6);
    expect(maxError(row(logits, 1), row(alone, 1))).toBeLessThan(1e-6);
    expect(maxError(row(whole, 1), row(alone, 1))).toBeGreaterThan(1e-3);
  });

  it.each([
    [64, 64],
    [37, 37],
    [37, 5],
    [64, 1],
    [64, 17],
    [10, 3],
  ])("is right-aligned: block size %i, %i tokens", (blockSize, length) => {
    using _ = torch.scope();
    const model = evaluated(blockSize);
    const x = randomTokens(2, Math.min(4, blockSize), VOCAB);
    const previous = randomTokens(2, length, VOCAB);
    const short = model.forward(x, { previous }).logits;
    const filling = randomTokens(2, blockSize - length, VOCAB);
    const real = Array.from({ length: blockSize }, (_, i) => i >= blockSize - length);
    const padded = model.forward(x, {
      previous: torch.cat([filling, previous], { dim: 1 }),
      previousMask: mask([real, real]),
    }).logits;
    expect(maxError(short, padded)).toBeLessThan(1e-6);
    expect(maxError(short, model.forward(x).logits)).toBeGreaterThan(1e-4);
  });

  it("gives a masked token and a row without context no gradient", () => {
    using _ = torch.scope();
    const model = evaluated(8);
    const x = torch.zeros([2, 8], { dtype: "int64", device });
    const previous = torch.cat(
      [
        torch.full([2, 4], 5, { dtype: "int64", device }),
        torch.full([2, 4], 6, { dtype: "int64", device }),
      ],
      { dim: 1 },
    );
    const half = [false, false, false, false, true, true, true, true];
    const none = new Array<boolean>(8).fill(false);
    const gradient = (rows: boolean[][]): { masked: number; real: number; beta: number } => {
      model.zeroGrad();
      const { loss } = model.forward(x, { previous, previousMask: mask(rows), targets: x });
      loss.backward();
      const of = (token: number) =>
        model.token_emb.weight.grad!.select(0, token).abs().sum().number();
      return { masked: of(5), real: of(6), beta: Math.abs(model.beta.grad!.number()) };
    };
    const some = gradient([half, none]);
    expect(some.masked).toBe(0);
    expect(some.real).toBeGreaterThan(0);
    expect(some.beta).toBeGreaterThan(0);
    expect(gradient([none, none])).toEqual({ masked: 0, real: 0, beta: 0 });
  });

  it("moves alpha in training", () => {
    using _ = torch.scope();
    const model = new WaveGPT(
      { vocabSize: VOCAB, nEmbd: 16, nHeads: 4, nLayers: 1, blockSize: 8 },
      { device },
    );
    expect(model.alpha()).toBe(1);
    const x = randomTokens(2, 8, VOCAB);
    model.forward(x, { previous: x, targets: x }).loss.backward();
    const gradient = model.beta.grad!.number();
    expect(gradient).not.toBe(0);
    torch.noGrad(() => model.beta.sub_(model.beta.grad!));
    expect(model.alpha()).toBeCloseTo(1 + gradient, 6);
    expect(model.parameters()).toContain(model.beta);
  });
});

describe("forward", () => {
  it("gives the last position's logits alone where only they are asked for", () => {
    using _ = torch.scope();
    const model = evaluated(12);
    for (const length of [1, 5, 12]) {
      const x = randomTokens(2, length, VOCAB);
      const previous = randomTokens(2, 12, VOCAB);
      const whole = model.forward(x, { previous }).logits;
      const last = model.forward(x, { previous, lastOnly: true });
      expect(last.loss).toBeNull();
      expect(last.logits.shape).toEqual([2, 1, VOCAB]);
      expect(maxError(last.logits, whole.narrow(1, length - 1, 1))).toBeLessThan(1e-6);
    }
  });

  it("leaves targets of -100 out of the mean", () => {
    using _ = torch.scope();
    const model = evaluated(6);
    const x = randomTokens(1, 6, VOCAB);
    const targets = randomTokens(1, 6, VOCAB);
    const { logits } = model.forward(x, { targets });
    const some = targets.clone();
    some.narrow(1, 0, 4).fill_(-100);
    const { loss } = model.forward(x, { targets: some });
    const logProbabilities = logits.logSoftmax(-1);
    const expected = [4, 5].map((at) =>
      logProbabilities.at(0, at, targets.at(0, at).number()).number(),
    );
    expect(loss.number()).toBeCloseTo(-(expected[0]! + expected[1]!) / 2, 5);
  });

  it("computes in bfloat16 under autocast, with and without masks, and leaves no tensor behind", () => {
    const model = evaluated(8);
    const x = torch.keep(randomTokens(2, 8, VOCAB));
    const half = [false, false, true, true, true, true, true, true];
    const step = (previousMask: Tensor | null) => {
      const options = { previous: x, previousMask, targets: x };
      const exact = model.forward(x, options).loss.number();
      const { loss } = torch.autocast({ deviceType, dtype: "bfloat16" }, () =>
        model.forward(x, options),
      );
      expect(loss.number()).not.toBe(exact);
      expect(Math.abs(loss.number() - exact)).toBeLessThan(0.05);
      loss.backward();
      expect(model.beta.grad!.dtype).toBe("float32");
      expect(Number.isFinite(model.beta.grad!.number())).toBe(true);
    };
    const handles: number[] = [];
    for (let i = 0; i < 4; i++) {
      torch.tidy(() => step(i % 2 === 0 ? null : mask([half, half])));
      handles.push(torch.memory().handles);
    }
    expect(new Set(handles.slice(1)).size).toBe(1);
    x.dispose();
  });

  it("refuses shapes that do not fit, with what was expected and what came", () => {
    using _ = torch.scope();
    const model = evaluated(8);
    const x = randomTokens(2, 8, VOCAB);
    const cases: [() => unknown, RegExp][] = [
      [
        () => model.forward(randomTokens(2, 9, VOCAB)),
        /x must .* 1 to the block size, 8, got \[2, 9\]/,
      ],
      [() => model.forward(torch.zeros([8], { dtype: "int64", device })), /x must .* got \[8\]/],
      [() => model.forward(randomTokens(2, 0, VOCAB)), /x must .* got \[2, 0\]/],
      [
        () => model.forward(x, { previous: randomTokens(3, 8, VOCAB) }),
        /previous must have as many rows as x, 2, got 3/,
      ],
      [
        () => model.forward(x, { previous: randomTokens(2, 9, VOCAB) }),
        /previous must .* got \[2, 9\]/,
      ],
      [
        () => model.forward(x, { previous: x, previousMask: mask([[true], [true]]) }),
        /previousMask must have the shape of previous, \[2, 8\], got \[2, 1\]/,
      ],
      [
        () => model.forward(x, { targets: randomTokens(2, 7, VOCAB) }),
        /targets must have the shape of x/,
      ],
      [() => model.forward(x, { targets: x, lastOnly: true }), /lastOnly/],
    ];
    for (const [run, message] of cases) expect(run).toThrow(message);
  });
});
