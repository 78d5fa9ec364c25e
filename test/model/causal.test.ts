// @module-tag gpu

import { describe, expect, it } from "vitest";
import { type Tensor, torch } from "../../lib/index.js";
import { CausalWaveNet } from "../../src/model/causal-wavenet.js";
import type { History } from "../../src/model/history.js";
import { GPT, KERNELS, WaveGPT, type WaveGPTOptions } from "../../src/model/index.js";
import { device } from "../device.js";
import { identical, maxError, randomTokens } from "./compare.js";

const VOCAB = 13;
const C = 16;

function causal(options: Partial<WaveGPTOptions> = {}): WaveGPT {
  torch.manualSeed(1);
  const { wavenet, ...rest } = options;
  return new WaveGPT(
    {
      vocabSize: VOCAB,
      nEmbd: C,
      nHeads: 4,
      nLayers: 2,
      blockSize: 16,
      wavenet: { mode: "causal", layers: 5, ...wavenet },
      ...rest,
    },
    { device },
  );
}

/** Cuts a tensor's second dimension into pieces of these lengths. */
function cut(x: Tensor, lengths: readonly number[]): Tensor[] {
  let at = 0;
  return lengths.map((length) => {
    at += length;
    return x.narrow(1, at - length, length);
  });
}

describe.each(KERNELS)("the causal WaveNet (%s)", (kernels) => {
  it.each([
    ["blocks of one length", [16, 16, 16, 16, 16, 16]],
    ["single tokens", new Array<number>(40).fill(1)],
    ["any lengths", [1, 2, 31, 5, 64, 33, 1, 7, 32]],
  ])("in %s gives what one long pass gives", (_, lengths) => {
    using _scope = torch.scope();
    torch.manualSeed(2);
    const net = new CausalWaveNet(C, { layers: 5 }, kernels, { device, dtype: "float64" });
    const total = lengths.reduce((sum, length) => sum + length);
    const x = torch.randn([3, total, C], { dtype: "float64", device });
    const whole = torch.noGrad(() =>
      net.forward(x, net.emptyHistory(3, { dtype: "float64", device })),
    );
    let history: History = net.emptyHistory(3, { dtype: "float64", device });
    const parts = cut(x, lengths).map((part) => {
      const result = torch.noGrad(() => net.forward(part, history));
      history = result.history;
      return result.h;
    });
    // Products of other shapes sum in another order: some units in the last place of float64, over five layers.
    expect(maxError(torch.cat(parts, 1), whole.h)).toBeLessThan(1e-13);
    for (const [layer, kept] of history.entries()) {
      expect(maxError(kept, whole.history[layer]!)).toBeLessThan(1e-13);
    }
  });

  it.each([1, 2, 5, 7])(
    "of %i layers depends on its receptive field, and on no token more",
    (layers) => {
      using _ = torch.scope();
      torch.manualSeed(3);
      const net = new CausalWaveNet(C, { layers }, kernels, { device, dtype: "float64" });
      const length = net.receptiveField + 9;
      const x = torch.randn([1, length, C], { dtype: "float64", device }).requiresGrad_(true);
      const { h } = net.forward(x, net.emptyHistory(1, { dtype: "float64", device }));
      const position = length - 3;
      // A layer norm's plain sum would not depend on what it norms.
      h.narrow(1, position, 1)
        .mul(torch.randn([C], { dtype: "float64", device }))
        .sum()
        .backward();
      const reached = x.grad!.abs().sum(-1).reshape([-1]).tolist() as number[];
      const expected = reached.map((_, at) => at <= position && at > position - net.receptiveField);
      expect(reached.map((gradient) => gradient !== 0)).toEqual(expected);
      expect(net.receptiveField).toBe(2 ** layers);
    },
  );

  it("gives every parameter a gradient at its start, and both branches one", () => {
    using _ = torch.scope();
    const model = causal({ kernels, dropout: 0 });
    const x = randomTokens(2, 16, VOCAB);
    // Taps look back up to 16 tokens, so they need a text before them.
    const history = torch.noGrad(() => model.readHistory(randomTokens(2, 40, VOCAB)));
    model.forward(x, { history, targets: randomTokens(2, 16, VOCAB) }).loss.backward();
    for (const [name, parameter] of model.namedParameters()) {
      expect([name, (parameter.grad?.abs().max().number() ?? 0) > 1e-6]).toEqual([name, true]);
    }
    expect(model.alpha()).toBeCloseTo(0.5);
  });

  it("is silent with alpha at one: the logits are a GPT's of the same weights", () => {
    using _ = torch.scope();
    const model = causal({ kernels, wavenet: { alpha: "one" } }).eval();
    const gpt = new GPT({ ...gptOptions(model), kernels }, { device });
    const own = Object.keys(gpt.stateDict());
    gpt.loadStateDict(
      Object.fromEntries(Object.entries(model.stateDict()).filter(([name]) => own.includes(name))),
    );
    gpt.eval();
    const x = randomTokens(3, 11, VOCAB);
    expect(identical(model.forward(x).logits, gpt.forward(x).logits)).toBe(true);
    expect(model.alpha()).toBe(1);
    model.forward(x, { targets: x }).loss.backward();
    expect(model.beta.grad).toBeNull();
  });
});

function gptOptions(model: WaveGPT) {
  const { vocabSize, nEmbd, nHeads, nLayers, blockSize, dropout, block } = model.config;
  return { vocabSize, nEmbd, nHeads, nLayers, blockSize, dropout, block };
}

describe("a causal model's history", () => {
  const blocks = (rows: number, lengths: readonly number[]) =>
    lengths.map((length) => randomTokens(rows, length, VOCAB));

  it("is what came out of the pass before: empty for the first, and the same by readHistory", () => {
    using _ = torch.scope();
    const model = causal().eval();
    const [first, second] = blocks(2, [16, 9]) as [Tensor, Tensor];
    const after = model.forward(first).history!;
    const empty = model.emptyHistory(2);
    expect(
      identical(model.forward(first, { history: empty }).logits, model.forward(first).logits),
    ).toBe(true);
    expect(after.map((layer) => layer.shape)).toEqual([1, 2, 4, 8, 16].map((d) => [2, d, C]));
    expect(after.every((layer) => !layer.requiresGrad)).toBe(true);
    const read = model.readHistory(first)!;
    expect(read.every((layer, i) => identical(layer, after[i]!))).toBe(true);
    const known = model.forward(second, { history: after }).logits;
    expect(identical(known, model.forward(second).logits)).toBe(false);
  });

  it("is that of another row where it is shuffled, never the row's own", () => {
    using _ = torch.scope();
    const own = causal().eval();
    const shuffled = causal({ wavenet: { history: "shuffled" } }).eval();
    const [first, second] = blocks(3, [16, 16]) as [Tensor, Tensor];
    const history = own.readHistory(first)!;
    const expected = own.forward(second, { history: history.map((layer) => layer.roll(-1, 0)) });
    expect(identical(shuffled.forward(second, { history }).logits, expected.logits)).toBe(true);
    // A row alone has no other.
    const alone = history.map((layer) => layer.narrow(0, 0, 1));
    const row = second.narrow(0, 0, 1);
    expect(
      identical(shuffled.forward(row, { history: alone }).logits, own.forward(row).logits),
    ).toBe(true);
  });

  it("is nothing where it is zeroed", () => {
    using _ = torch.scope();
    const own = causal().eval();
    const zeroed = causal({ wavenet: { history: "zeroed" } }).eval();
    const [first, second] = blocks(2, [16, 16]) as [Tensor, Tensor];
    const { history } = zeroed.forward(first);
    expect(identical(zeroed.forward(second, { history }).logits, own.forward(second).logits)).toBe(
      true,
    );
  });

  it("of another model or other rows is refused", () => {
    using _ = torch.scope();
    const model = causal();
    const x = randomTokens(2, 4, VOCAB);
    expect(() => model.forward(x, { history: model.emptyHistory(3) })).toThrow(
      /history must be tensors of the shapes \[2, 1, 16\], \[2, 2, 16\], .* got \[3, 1, 16\]/,
    );
    expect(() => model.forward(x, { history: [] })).toThrow(/history must be .* got none/);
  });

  it("is none for a model that carries nothing", () => {
    using _ = torch.scope();
    const x = randomTokens(2, 4, VOCAB);
    for (const model of [
      new GPT({ vocabSize: VOCAB, nEmbd: C }, { device }),
      new WaveGPT({ vocabSize: VOCAB, nEmbd: C }, { device }),
    ]) {
      expect(model.emptyHistory(2)).toBeNull();
      expect(model.readHistory(x)).toBeNull();
      expect(model.receptiveField).toBeNull();
      expect(model.forward(x, { history: null }).history).toBeNull();
    }
  });
});
