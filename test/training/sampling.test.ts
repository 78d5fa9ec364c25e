import { describe, expect, it } from "vitest";
import { torch } from "../../lib/index.js";
import { generate, generateTokens } from "../../src/generate.js";
import { GPT } from "../../src/model/index.js";
import { checkSampling, sampleToken } from "../../src/sampling.js";
import { TokenIds } from "../../src/tokenizer/index.js";

const logits = [0.1, 2.3, -1, 1.7, 0.9];
const exponentials = logits.map(Math.exp);
const total = exponentials.reduce((a, b) => a + b);

/** How often each token is drawn over an even grid of random numbers: its probability, to 1/10000. */
function frequencies(options: Parameters<typeof sampleToken>[2]): number[] {
  const counts = logits.map(() => 0);
  const draws = 10_000;
  for (let i = 0; i < draws; i++) counts[sampleToken(logits, (i + 0.5) / draws, options)]!++;
  return counts.map((count) => count / draws);
}

function expectClose(got: readonly number[], expected: readonly number[]): void {
  for (const [i, value] of got.entries()) {
    expect(Math.abs(value - expected[i]!)).toBeLessThan(3e-4);
  }
}

describe("sampleToken", () => {
  it("draws with the softmax's probabilities", () => {
    expectClose(
      frequencies({}),
      exponentials.map((e) => e / total),
    );
  });

  it("divides logits by the temperature", () => {
    const sharp = logits.map((logit) => Math.exp(logit / 0.5));
    const sum = sharp.reduce((a, b) => a + b);
    expectClose(
      frequencies({ temperature: 0.5 }),
      sharp.map((e) => e / sum),
    );
    expect(frequencies({ temperature: 0 })).toEqual([0, 1, 0, 0, 0]);
  });

  it("topK leaves the likeliest, in their proportions", () => {
    const kept = exponentials[1]! + exponentials[3]!;
    expectClose(frequencies({ topK: 2 }), [
      0,
      exponentials[1]! / kept,
      0,
      exponentials[3]! / kept,
      0,
    ]);
    expect(frequencies({ topK: 1 })).toEqual([0, 1, 0, 0, 0]);
    expectClose(
      frequencies({ topK: 99 }),
      exponentials.map((e) => e / total),
    );
  });

  it("topP leaves the fewest that reach it", () => {
    const first = exponentials[1]! / total;
    const firstTwo = first + exponentials[3]! / total;
    expect(frequencies({ topP: first - 0.01 })).toEqual([0, 1, 0, 0, 0]);
    expect(frequencies({ topP: first + 0.01 }).map((p) => p > 0)).toEqual([
      false,
      true,
      false,
      true,
      false,
    ]);
    expect(frequencies({ topP: firstTwo + 0.001 }).map((p) => p > 0)).toEqual([
      false,
      true,
      false,
      true,
      true,
    ]);
  });

  it("never draws what has no probability", () => {
    const impossible = [Number.NEGATIVE_INFINITY, 0, Number.NEGATIVE_INFINITY];
    for (const uniform of [0, 0.5, 1 - 2 ** -32]) expect(sampleToken(impossible, uniform)).toBe(1);
  });

  it("says that a model is broken rather than draw from NaN", () => {
    expect(() => sampleToken([0, Number.NaN], 0.5)).toThrow(/not a number \(NaN\) for token 1/);
  });
});

it.each([
  [{ temperature: -1 }, /temperature: expected a number of at least 0, got -1/],
  [{ topK: 0 }, /topK: expected a whole number of at least 1, got 0/],
  [{ topK: 1.5 }, /topK: .* got 1.5/],
  [{ topP: 0 }, /topP: expected a number above 0 and at most 1, got 0/],
])("checkSampling refuses %o", (options, message) => {
  expect(() => checkSampling(options)).toThrow(message);
});

describe("generateTokens", () => {
  it("draws none of the ids that pad the vocabulary", () => {
    torch.manualSeed(1);
    using model = new GPT({ vocabSize: 64, nEmbd: 8, nHeads: 1, nLayers: 1, blockSize: 8 });
    const draw = (vocabSize?: number) => [
      ...generateTokens(model, [0], {
        tokens: 200,
        temperature: 9,
        ...(vocabSize ? { vocabSize } : {}),
      }),
    ];
    expect(Math.max(...draw())).toBeGreaterThan(49);
    expect(Math.max(...draw(50))).toBeLessThan(50);
    const all = new Set(Array.from({ length: 50 }, (_, id) => String(id)));
    const pieces = [...generate(model, new TokenIds(50), { tokens: 200, temperature: 9 })];
    expect(pieces.every((piece) => all.has(piece.trim()))).toBe(true);
  });
});
