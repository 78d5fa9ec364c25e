import { describe, expect, it } from "vitest";
import { createModel, resolveGPTConfig } from "../../src/model/index.js";
import { type Matched, matchGPT, sizeOf } from "../../src/study/match.js";

const base = resolveGPTConfig({ vocabSize: 65 });

describe("a GPT of another model's size", () => {
  it.each([4, 6, 9])("is found by its %i blocks alone where they fit", (nLayers) => {
    for (const matched of ["parameters", "flops"] as const) {
      const wanted = sizeOf({ ...base, nLayers }, matched) * 1.01;
      const match = matchGPT(base, matched, wanted);
      expect(match).toMatchObject({ nLayers, nEmbd: base.nEmbd });
      expect(match.deviation).toBeCloseTo(1 / 1.01 - 1, 9);
    }
  });

  it("keeps the width where blocks come within 5 %", () => {
    const match = matchGPT(base, "parameters", 1_478_849);
    expect(match).toMatchObject({ nLayers: 7, nEmbd: 128 });
    expect(match.deviation).toBeCloseTo(1_413_057 / 1_478_849 - 1, 12);
  });

  it.each([
    ["parameters", 1_115_000],
    ["parameters", 900_000],
    ["flops", 5.6e6],
  ] as const)("takes another width where blocks alone do not: %s %d", (matched, wanted) => {
    const match = matchGPT(base, matched, wanted);
    expect(Math.abs(match.deviation)).toBeLessThanOrEqual(0.02);
    expect(match.nEmbd % 8).toBe(0);
    expect(match.nEmbd).not.toBe(128);
    // Nearest in shape, not the deep and narrow one.
    expect(match.nEmbd).toBeGreaterThanOrEqual(96);
    expect(match.nLayers).toBeLessThanOrEqual(10);
    const { nLayers, nEmbd } = match;
    const size = sizeOf({ ...base, nLayers, nEmbd }, matched as Matched);
    expect(size / wanted - 1).toBeCloseTo(match.deviation, 12);
  });

  it("is as near as it gets where nothing comes within 2 %", () => {
    const tiny = { ...base, nEmbd: 16, nHeads: 4, nLayers: 1 };
    const match = matchGPT(tiny, "parameters", 100);
    expect(match.nLayers).toBe(1);
    expect(match.deviation).toBeGreaterThan(1);
  });

  it("counts parameters that a real model has", () => {
    using model = createModel("gpt", base);
    expect(sizeOf(base, "parameters")).toBe(model.numParameters());
  });
});
