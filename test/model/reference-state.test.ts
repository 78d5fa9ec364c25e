// @module-tag gpu

import { beforeEach, describe, expect, it } from "vitest";
import { type Tensor, torch } from "../../lib/index.js";
import { GPT, WaveGPT } from "../../src/model/index.js";
import { identical } from "./compare.js";
import { goldenOptions, loadGolden, skipWithoutGolden, under } from "./golden.js";

beforeEach(skipWithoutGolden);

const weights = under(loadGolden(), "weights.");

describe("the reference's state dict", () => {
  it("comes back out as it went in, masks included", () => {
    using _ = torch.scope();
    const model = new WaveGPT(goldenOptions("previous"));
    model.loadReferenceStateDict(weights);
    const out = model.referenceStateDict();
    expect(Object.keys(out).sort()).toEqual(Object.keys(weights).sort());
    const different = Object.keys(weights).filter((name) => !identical(out[name]!, weights[name]!));
    expect(different).toEqual([]);
  });

  it("is the model's own but for the masks", () => {
    using _ = torch.scope();
    const own = Object.keys(new WaveGPT(goldenOptions("previous")).stateDict());
    expect(own.sort()).toEqual(
      Object.keys(weights)
        .filter((name) => !name.endsWith(".mask"))
        .sort(),
    );
  });

  it("is refused with every key that is missing, unexpected or misshapen", () => {
    using _ = torch.scope();
    const model = new WaveGPT(goldenOptions("previous"));
    const before = model.linear.weight.clone();
    const { "ln.weight": _dropped, ...rest } = weights;
    const wrong: Record<string, Tensor> = {
      ...rest,
      gamma: torch.zeros([1]),
      "linear.bias": torch.zeros([64]),
      // A block that the model does not have.
      "decoders.2.mask": torch.zeros([64, 64]),
    };
    let message = "";
    try {
      model.loadReferenceStateDict(wrong);
    } catch (error) {
      expect(error).toMatchObject({ code: "ERR_WAVEGPT_STATE_DICT" });
      message = (error as Error).message;
    }
    for (const name of ["ln.weight", "gamma", "linear.bias", "decoders.2.mask"]) {
      expect(message).toContain(name);
    }
    expect(identical(model.linear.weight, before)).toBe(true);
  });

  it("of a GPT has neither WaveNet nor beta", () => {
    using _ = torch.scope();
    const { wavenet: _wavenet, ...options } = goldenOptions("previous");
    const gpt = new GPT(options);
    const { beta: _beta, ...rest } = weights;
    const decoder = Object.fromEntries(
      Object.entries(rest).filter(([name]) => !name.startsWith("wavenet.")),
    );
    gpt.loadReferenceStateDict(decoder);
    expect(Object.keys(gpt.referenceStateDict()).sort()).toEqual(Object.keys(decoder).sort());
    expect(() => gpt.loadReferenceStateDict(weights)).toThrow(/beta/);
  });
});
