// @module-tag gpu

import { describe, expect, it } from "vitest";
import { type Tensor, torch } from "../../lib/index.js";
import {
  BLOCK_FORMS,
  GPT,
  type LanguageModel,
  WaveGPT,
  type WaveGPTOptions,
} from "../../src/model/index.js";
import { device } from "../device.js";
import { identical, randomTokens } from "./compare.js";

const VOCAB = 11;
const small: WaveGPTOptions = { vocabSize: VOCAB, nEmbd: 16, nHeads: 2, nLayers: 2, dropout: 0.3 };

function wavegpt(options: Partial<WaveGPTOptions>): WaveGPT {
  const model = new WaveGPT({ ...small, ...options }, { device });
  // At its start beta is 0 and the WaveNet without a voice.
  torch.noGrad(() => model.beta.fill_(0.4));
  return model;
}

function gpt(options: Partial<WaveGPTOptions>): GPT {
  const { wavenet: _, ...rest } = { ...small, ...options };
  return new GPT(rest, { device });
}

/** The logits, with the same dropout every time. */
function logits(model: LanguageModel, x: Tensor, previous: Tensor | null): Tensor {
  torch.manualSeed(77);
  return torch.noGrad(() => model.forward(x, { previous }).logits);
}

/** The logits of a text that is read block by block, what the model keeps being carried from one to the next. */
function carriedLogits(model: LanguageModel, tokens: Tensor, lengths: readonly number[]): Tensor {
  torch.manualSeed(77);
  let history = model.emptyHistory(tokens.shape[0]!);
  let at = 0;
  const blocks = lengths.map((length) => {
    const block = tokens.narrow(1, at, length);
    at += length;
    const result = torch.noGrad(() => model.forward(block, { history }));
    history = result.history;
    return result.logits;
  });
  return torch.cat(blocks, 1);
}

/** `tokens` with all rows' token at `t` changed. */
function changeAt(tokens: Tensor, t: number): Tensor {
  const changed = tokens.clone();
  const column = changed.narrow(1, t, 1);
  column.copy_(column.add(1).remainder(VOCAB));
  return changed;
}

/** The positions t at which changing token t changed logits before t. Logits at t must always change. */
function leaks(model: LanguageModel, length: number, previous: Tensor | null): number[] {
  torch.manualSeed(length);
  const x = randomTokens(2, length, VOCAB);
  const before = logits(model, x, previous);
  const found: number[] = [];
  // All positions of a short block, every fifth and the last of a long one.
  for (let t = 0; t < length; t += length > 20 && t + 5 < length ? 5 : 1) {
    torch.tidy(() => {
      const after = logits(model, changeAt(x, t), previous);
      expect(identical(after.narrow(1, t, 1), before.narrow(1, t, 1))).toBe(false);
      if (!identical(after.narrow(1, 0, t), before.narrow(1, 0, t))) found.push(t);
    });
  }
  return found;
}

describe.each(["train", "eval"] as const)("in %s mode", (mode) => {
  describe.each([
    [64, [1, 2, 7, 61, 64]],
    [37, [1, 5, 23, 37]],
    [10, [1, 3, 10]],
    [1, [1]],
  ])("at block size %i", (blockSize, lengths) => {
    describe.each(BLOCK_FORMS)("%s blocks", (block) => {
      it.each(lengths)("GPT sees no later token, length %i", (length) => {
        using _ = torch.scope();
        const model = gpt({ blockSize, block }).train(mode === "train");
        expect(leaks(model, length, null)).toEqual([]);
      });

      it.each(lengths)("WaveGPT sees no later token, length %i", (length) => {
        using _ = torch.scope();
        const model = wavegpt({ blockSize, block }).train(mode === "train");
        const previous = randomTokens(2, blockSize, VOCAB);
        expect(leaks(model, length, previous)).toEqual([]);
        expect(leaks(model, length, null)).toEqual([]);
      });

      it("WaveGPT hears each token before the block, at every position", () => {
        using _ = torch.scope();
        torch.manualSeed(3);
        const model = wavegpt({ blockSize, block }).train(mode === "train");
        const x = randomTokens(2, blockSize, VOCAB);
        const previous = randomTokens(2, blockSize, VOCAB);
        const before = logits(model, x, previous);
        for (let t = 0; t < blockSize; t += blockSize > 20 ? 7 : 1) {
          torch.tidy(() => {
            const after = logits(model, x, changeAt(previous, t));
            for (let at = 0; at < blockSize; at += 3) {
              expect(identical(after.narrow(1, at, 1), before.narrow(1, at, 1))).toBe(false);
            }
          });
        }
      });
    });
  });

  it.each(BLOCK_FORMS.flatMap((block) => [0, 2].map((memory) => [block, memory] as const)))(
    "the causal form sees no later token, in its block or a later one (%s blocks, memory %i)",
    (block, memory) => {
      using _ = torch.scope();
      torch.manualSeed(5);
      const wavenet = { mode: "causal", layers: 5, memory } as const;
      const model = wavegpt({ block, blockSize: 20, wavenet });
      model.train(mode === "train");
      const lengths = [20, 7, 20, 1, 13];
      const total = lengths.reduce((sum, length) => sum + length);
      const tokens = randomTokens(2, total, VOCAB);
      const before = carriedLogits(model, tokens, lengths);
      for (let t = 0; t < total; t++) {
        torch.tidy(() => {
          const after = carriedLogits(model, changeAt(tokens, t), lengths);
          expect([t, identical(after.narrow(1, 0, t), before.narrow(1, 0, t))]).toEqual([t, true]);
          expect(identical(after.narrow(1, t, 1), before.narrow(1, t, 1))).toBe(false);
          // It is heard through the blocks that lie between, as far as the convolutions' 32 tokens reach, or always.
          const last = memory === 0 ? Math.min(t + 31, total - 1) : total - 1;
          expect(identical(after.narrow(1, last, 1), before.narrow(1, last, 1))).toBe(false);
        });
      }
    },
  );

  it.each(BLOCK_FORMS)("the leaky form fails this test (%s blocks)", (block) => {
    using _ = torch.scope();
    torch.manualSeed(4);
    const model = wavegpt({ block, blockSize: 64, wavenet: { mode: "leaky-reference" } });
    model.train(mode === "train");
    const previous = randomTokens(2, 64, VOCAB);
    const found = leaks(model, 64, previous);
    expect(found).toContain(63);
    expect(found.length).toBeGreaterThan(8);
  });
});
