// @module-tag gpu

import { describe, expect, it } from "vitest";
import { type Tensor, torch } from "../../lib/index.js";
import { CausalWaveNet } from "../../src/model/causal-wavenet.js";
import { emptied, type History } from "../../src/model/history.js";
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
      wavenet: { mode: "causal", layers: 5, memory: 0, ...wavenet },
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
    ["blocks of one length", [16, 16, 16, 16, 16, 16], 0],
    ["single tokens", new Array<number>(40).fill(1), 0],
    ["any lengths", [1, 2, 31, 5, 64, 33, 1, 7, 32], 0],
    ["blocks of one length, with retention", [64, 64, 64, 64, 64], 2],
    ["single tokens, with retention", new Array<number>(40).fill(1), 2],
    ["any lengths, retention alone", [1, 2, 301, 5, 64, 33, 1, 7, 32], 5],
  ])("in %s gives what one long pass gives", (_, lengths, memory) => {
    using _scope = torch.scope();
    torch.manualSeed(2);
    const net = new CausalWaveNet(C, { layers: 5, memory: 0 }, 4, kernels, {
      device,
      dtype: "float64",
    });
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
    // Retention's norm divides by what may be small.
    const tolerance = memory === 0 ? 1e-13 : 1e-11;
    expect(maxError(torch.cat(parts, 1), whole.h)).toBeLessThan(tolerance);
    for (const [layer, kept] of history.entries()) {
      expect(maxError(kept, whole.history[layer]!)).toBeLessThan(tolerance);
    }
  });

  it.each([1, 2, 5, 7])(
    "of %i layers depends on its receptive field, and on no token more",
    (layers) => {
      using _ = torch.scope();
      torch.manualSeed(3);
      const net = new CausalWaveNet(C, { layers, memory: 0 }, 4, kernels, {
        device,
        dtype: "float64",
      });
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

  it("with retention has convolutions of their receptive field, and depends on every token before", () => {
    using _ = torch.scope();
    torch.manualSeed(3);
    const factory = { device, dtype: "float64" } as const;
    const net = new CausalWaveNet(C, { layers: 5, memory: 2 }, 4, kernels, factory);
    expect(net.receptiveField).toBe(8);
    const halfLives = [1 - 2 ** -5, 1 - 2 ** -7, 1 - 2 ** -9, 1 - 2 ** -11].map(
      (decay) => Math.log(2) / -Math.log(decay),
    );
    expect(net.memory!.layers).toBe(2);
    net.memory!.halfLives.forEach((tokens, i) => {
      expect(tokens).toBeCloseTo(halfLives[i]!, 6);
    });
    const x = torch.randn([1, 60, C], factory).requiresGrad_(true);
    const { h } = net.forward(x, net.emptyHistory(1, factory));
    h.narrow(1, 50, 1)
      .mul(torch.randn([C], factory))
      .sum()
      .backward();
    const reached = x.grad!.abs().sum(-1).reshape([-1]).tolist() as number[];
    expect(reached.map((gradient) => gradient !== 0)).toEqual(reached.map((_, at) => at <= 50));
  });

  it.each([0, 2])(
    "gives every parameter a gradient at its start, and both branches one (memory %i)",
    (memory) => {
      using _ = torch.scope();
      const model = causal({ kernels, dropout: 0, wavenet: { memory } });
      const x = randomTokens(2, 16, VOCAB);
      // Taps look back up to 16 tokens, so they need a text before them.
      const history = torch.noGrad(() => model.readHistory(randomTokens(2, 40, VOCAB)));
      model.forward(x, { history, targets: randomTokens(2, 16, VOCAB) }).loss.backward();
      for (const [name, parameter] of model.namedParameters()) {
        expect([name, (parameter.grad?.abs().max().number() ?? 0) > 1e-6]).toEqual([name, true]);
      }
      expect(model.alpha()).toBeCloseTo(0.5);
    },
  );

  it("reads some tokens as others where it has noise, in training only, and the decoder reads none", () => {
    using _ = torch.scope();
    const [plain, noisy, silent] = [
      causal({ kernels, dropout: 0 }),
      causal({ kernels, dropout: 0, wavenet: { noise: 0.3 } }),
      causal({ kernels, dropout: 0, wavenet: { noise: 0.3, alpha: "one" } }),
    ];
    const x = randomTokens(40, 16, VOCAB);
    const logits = (model: WaveGPT) => model.forward(x).logits;
    expect(identical(logits(noisy.eval()), logits(plain.eval()))).toBe(true);
    expect(identical(logits(silent.train()), logits(silent.eval()))).toBe(true);
    // The shortest dilation's history is the last token's norm: it tells whether that was read as another.
    const kept = (model: WaveGPT) => model.readHistory(x)![0]!.reshape([40, C]);
    const changed = kept(noisy.train()).ne(kept(plain)).any({ dim: 1 }).sum();
    // 40 draws of 0.3 * 12 / 13: the bounds are over four deviations off.
    expect(Number(changed.item())).toBeGreaterThan(1);
    expect(Number(changed.item())).toBeLessThan(24);
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

  it("of retention layers is their states and last inputs, in float32 also under autocast", () => {
    using _ = torch.scope();
    const model = causal({ wavenet: { memory: 2 } }).eval();
    const [first] = blocks(2, [16]) as [Tensor];
    const deviceType = device.split(":")[0]!;
    const after = torch.autocast(
      { deviceType, dtype: "bfloat16" },
      () => model.readHistory(first)!,
    );
    expect(after.map((layer) => layer.shape)).toEqual([
      ...[1, 2, 4].map((d) => [2, d, C]),
      ...[0, 1].flatMap(() => [
        [2, 4, C / 4, C / 4],
        [2, 1, C],
      ]),
    ]);
    expect(new Set(after.map(({ dtype }) => dtype))).toEqual(new Set(["float32"]));
    expect(after.every((layer) => !layer.requiresGrad)).toBe(true);
    expect(() => model.forward(first, { history: causal().emptyHistory(2) })).toThrow(
      /history must be tensors of the shapes \[2, 1, 16\], .*\[2, 4, 4, 4\], \[2, 1, 16\], got/,
    );
  });

  it("is emptied for the rows that do not continue", () => {
    using _ = torch.scope();
    const model = causal({ wavenet: { memory: 2 } }).eval();
    const history = model.readHistory(blocks(3, [16])[0]!)!;
    for (const [i, layer] of emptied(history, [true, false, true]).entries()) {
      expect(identical(layer.select(0, 0), history[i]!.select(0, 0))).toBe(true);
      expect(identical(layer.select(0, 2), history[i]!.select(0, 2))).toBe(true);
      expect(layer.select(0, 1).abs().max().number()).toBe(0);
    }
  });

  it.each([0, 2])(
    "is that of another row where it is shuffled, never the row's own (memory %i)",
    (memory) => {
      using _ = torch.scope();
      const own = causal({ wavenet: { memory } }).eval();
      const shuffled = causal({ wavenet: { memory, history: "shuffled" } }).eval();
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
    },
  );

  it.each([0, 2])("is nothing where it is zeroed (memory %i)", (memory) => {
    using _ = torch.scope();
    const own = causal({ wavenet: { memory } }).eval();
    const zeroed = causal({ wavenet: { memory, history: "zeroed" } }).eval();
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
      expect([model.receptiveField, model.memory]).toEqual([null, null]);
      expect(model.forward(x, { history: null }).history).toBeNull();
    }
  });
});
