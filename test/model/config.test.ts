import { describe, expect, it } from "vitest";
import {
  createModel,
  DEFAULT_BLOCK,
  defaultWaveNetLayers,
  GPT,
  resolveGPTConfig,
  resolveWaveGPTConfig,
  WaveGPT,
} from "../../src/model/index.js";

describe("a model's configuration", () => {
  it("has the reference's shape by default", () => {
    expect(resolveWaveGPTConfig({ vocabSize: 65 })).toEqual({
      vocabSize: 65,
      nEmbd: 128,
      nHeads: 4,
      nLayers: 4,
      blockSize: 64,
      dropout: 0.2,
      block: DEFAULT_BLOCK,
      kernels: "fused",
      wavenet: { mode: "previous", layers: 3, reshapeFactor: 4 },
    });
    expect(resolveGPTConfig({ vocabSize: 5, nEmbd: undefined })).not.toHaveProperty("wavenet");
  });

  it("takes as many WaveNet layers as the block needs, at most three", () => {
    const layers = [1, 4, 5, 16, 17, 64, 65, 1024].map((size) => defaultWaveNetLayers(size));
    expect(layers).toEqual([1, 1, 2, 2, 3, 3, 3, 3]);
    expect(defaultWaveNetLayers(6, 8)).toBe(1);
  });

  it.each([
    [{ vocabSize: 0 }, /vocabSize must be a whole number from 1, got 0/],
    [{ nEmbd: 12.5 }, /nEmbd must be a whole number from 1, got 12.5/],
    [{ nHeads: 5 }, /nEmbd must be divisible by nHeads, which is 5, got 128/],
    [{ nLayers: -1 }, /nLayers must be a whole number from 1, got -1/],
    [{ blockSize: Number.NaN }, /blockSize must be a whole number from 1/],
    [{ dropout: 1 }, /dropout must be a number from 0 to below 1, got 1/],
    [{ dropout: "0.1" }, /dropout must be .* got "0.1"/],
    [{ block: "post-norm" }, /block must be one of "reference", "pre-norm", got "post-norm"/],
    [{ nembd: 128 }, /no setting nembd: expected vocabSize, nEmbd/],
    [{ wavenet: { mode: "next" } }, /wavenet.mode must be .* "previous", "causal", got "next"/],
    [
      { wavenet: { mode: "causal", reshapeFactor: 4 } },
      /no setting wavenet.reshapeFactor: expected mode, layers, memory, noise, history, alpha/,
    ],
    [{ wavenet: { history: "carried" } }, /no setting wavenet.history: expected mode, layers/],
    [{ wavenet: { mode: "causal", layers: 21 } }, /wavenet.layers must be at most 20, got 21/],
    [
      { wavenet: { mode: "causal", history: "lost" } },
      /wavenet.history must be one of "carried", "shuffled", "zeroed", got "lost"/,
    ],
    [{ wavenet: { memory: 2 } }, /no setting wavenet.memory: expected mode, layers/],
    [{ wavenet: { mode: "causal", memory: -1 } }, /wavenet.memory must be .* from 0, got -1/],
    [
      { wavenet: { mode: "causal", layers: 3, memory: 4 } },
      /wavenet.memory must be at most wavenet.layers, which is 3, got 4/,
    ],
    [{ wavenet: { mode: "causal", noise: 1 } }, /wavenet.noise must be .* below 1, got 1/],
    [
      { wavenet: { mode: "causal", alpha: 0.5 } },
      /wavenet.alpha must be one of "learned", "one", got 0.5/,
    ],
    [{ wavenet: { reshapeFactor: 1 } }, /wavenet.reshapeFactor must be .* from 2, got 1/],
    [{ wavenet: { layers: 0 } }, /wavenet.layers must be .* from 1, got 0/],
    [{ wavenet: { layers: 4 } }, /wavenet.layers must be at most 3 for a blockSize of 64 .* got 4/],
    [{ wavenet: { depth: 4 } }, /no setting wavenet.depth: expected mode, layers/],
    [{ wavenet: 3 }, /wavenet must be an object .* got 3/],
  ])("refuses %j", (change, message) => {
    const options = { vocabSize: 65, ...change } as { vocabSize: number };
    expect(() => new WaveGPT(options)).toThrow(message);
    try {
      resolveWaveGPTConfig(options);
    } catch (error) {
      expect(error).toMatchObject({ code: "ERR_WAVEGPT_CONFIG" });
    }
  });

  it("makes the last half of a causal WaveNet's layers retention, at most four", () => {
    const memoryOf = (layers?: number) =>
      resolveWaveGPTConfig({ vocabSize: 65, wavenet: { mode: "causal", layers } }).wavenet;
    expect(memoryOf()).toMatchObject({ layers: 8, memory: 4 });
    expect([1, 2, 5, 12].map((layers) => memoryOf(layers))).toMatchObject([
      { memory: 0 },
      { memory: 1 },
      { memory: 2 },
      { memory: 4 },
    ]);
  });

  it("counts parameters, as PyTorch does for the same shapes", () => {
    const c = 32;
    const decoder = 3 * c * c + 3 * c + c * c + c + (8 * c * c + 5 * c) + 4 * c;
    const shared = 65 * c + 64 * c + 2 * decoder + 2 * c + c * 65 + 65;
    const wavenet = 3 * (8 * c + 4 * c * c + c);
    const options = { vocabSize: 65, nEmbd: c, nHeads: 4, nLayers: 2 };
    expect(new GPT(options).numParameters()).toBe(shared);
    expect(new WaveGPT(options).numParameters()).toBe(shared + wavenet + 1);
  });

  it("makes a model of either kind, and no other", () => {
    const options = { vocabSize: 9, nEmbd: 8, wavenet: { layers: 2 } };
    expect(createModel("wavegpt", options)).toBeInstanceOf(WaveGPT);
    expect(createModel("gpt", options).alpha()).toBeNull();
    expect(() => createModel("rnn" as "gpt", options)).toThrow(
      /one of wavegpt, gpt, nanogpt, got "rnn"/,
    );
  });
});
