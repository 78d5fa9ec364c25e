import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { safetensors, type Tensor, torch } from "../../lib/index.js";
import { createModel, fromPretrained, NanoGPT, savePretrained } from "../../src/model/index.js";
import { temporaryFolder } from "../cli/command.js";
import { pythonFile } from "../python.js";

const SIZES = { vocabSize: 11, nEmbd: 16, nHeads: 2, nLayers: 3, blockSize: 12, dropout: 0 };

describe("nanoGPT's model", () => {
  it.each(["fused", "composed"] as const)(
    "by %s kernels is PyTorch's, gradients too",
    (kernels) => {
      torch.manualSeed(3);
      using model = new NanoGPT({ ...SIZES, kernels });
      const folder = temporaryFolder();
      const files = ["weights", "batch", "out"].map((name) => join(folder, `${name}.safetensors`));
      const [weights, batch, out] = files as [string, string, string];
      using _ = torch.scope();
      // Weights far from their initial ones, so that a missing norm or product shows.
      torch.noGrad(() => {
        for (const parameter of model.parameters())
          parameter.add_(torch.randnLike(parameter).mul(0.3));
      });
      const x = torch.randint(0, 11, [2, 12], { dtype: "int64" });
      const targets = torch.randint(0, 11, [2, 12], { dtype: "int64" });
      const { "linear.weight": tied, ...own } = model.stateDict();
      expect(tied!.equal(own["token_emb.weight"]!)).toBe(true);
      safetensors.save(weights, own);
      safetensors.save(batch, { x, targets });
      pythonFile(fileURLToPath(new URL("nanogpt.py", import.meta.url)), weights, batch, out, "2");
      const expected = safetensors.load(out);

      const { logits, loss } = model.forward(x, { targets });
      loss.backward();
      const distance = (a: Tensor, b: Tensor) => a.sub(b).abs().max().number();
      expect(distance(logits, expected.logits!)).toBeLessThan(1e-5);
      expect(distance(loss, expected.loss!)).toBeLessThan(1e-5);
      const named = model.namedParameters();
      expect(named.map(([name]) => `grad.${name}`).sort()).toEqual(
        Object.keys(expected)
          .filter((name) => name.startsWith("grad."))
          .sort(),
      );
      for (const [name, parameter] of named) {
        expect(distance(parameter.grad!, expected[`grad.${name}`]!), name).toBeLessThan(1e-5);
      }
    },
  );

  it("has the size that nanoGPT prints for its CPU setting, 0.80M without positions", () => {
    using model = createModel("nanogpt", { vocabSize: 65, dropout: 0 });
    expect(model.numParameters() - 64 * 128).toBe(795_904);
  });

  it("begins with GPT-2's deviations", () => {
    torch.manualSeed(1);
    using model = new NanoGPT({ vocabSize: 65, nLayers: 2 });
    using _ = torch.scope();
    const deviation = (name: string) =>
      new Map(model.namedParameters()).get(name)!.std().number() / 0.02;
    for (const name of ["token_emb.weight", "pos_emb.weight", "decoders.1.ffn.net.0.weight"]) {
      expect(deviation(name)).toBeCloseTo(1, 1);
    }
    for (const name of ["decoders.0.mha.out_proj.weight", "decoders.1.ffn.net.2.weight"]) {
      expect(deviation(name)).toBeCloseTo(0.5, 1);
    }
  });

  it("is saved and loaded with its weights still tied", () => {
    const folder = temporaryFolder();
    using model = new NanoGPT(SIZES);
    savePretrained(model, folder);
    using loaded = fromPretrained(folder);
    expect(loaded).toBeInstanceOf(NanoGPT);
    expect(loaded.linear.weight).toBe(loaded.token_emb.weight);
    expect(loaded.numParameters()).toBe(model.numParameters());
    using _ = torch.scope();
    const x = torch.tensor([[1, 2, 3]], { dtype: "int64" });
    expect(loaded.forward(x).logits.equal(model.eval().forward(x).logits)).toBe(true);
  });
});
