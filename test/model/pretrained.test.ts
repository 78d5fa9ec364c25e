// @module-tag gpu

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { safetensors, torch } from "../../lib/index.js";
import { createModel, fromPretrained, savePretrained, WaveGPT } from "../../src/model/index.js";
import { identical, randomTokens } from "./compare.js";
import { goldenOptions, loadGolden, skipWithoutGolden, under } from "./golden.js";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "wavegpt-pretrained-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

it.each(["wavegpt", "gpt"] as const)("a saved %s comes back the same", (kind) => {
  using _ = torch.scope();
  const inner = join(folder, "a", "b");
  const model = createModel(kind, {
    vocabSize: 12,
    nEmbd: 8,
    nHeads: 2,
    nLayers: 1,
    blockSize: 21,
    dropout: 0.1,
    block: "pre-norm",
    wavenet: { layers: 2, reshapeFactor: 3 },
  });
  savePretrained(model, inner);
  const loaded = fromPretrained(inner);
  expect(loaded.constructor).toBe(model.constructor);
  expect(loaded.config).toEqual(model.config);
  expect(loaded.training).toBe(false);
  const x = randomTokens(2, 21, 12);
  model.eval();
  expect(
    identical(loaded.forward(x, { previous: x }).logits, model.forward(x, { previous: x }).logits),
  ).toBe(true);
});

it("keeps what else a config.json says", () => {
  const path = join(folder, "config.json");
  writeFileSync(path, JSON.stringify({ learning_rate: 3e-4, n_embd: 1 }));
  savePretrained(createModel("gpt", { vocabSize: 5, nEmbd: 8 }), folder);
  expect(JSON.parse(readFileSync(path, "utf8"))).toMatchObject({ learning_rate: 3e-4, n_embd: 8 });
});

it("loads the reference's own folder: its names, its masks, its constructor's arguments", (context) => {
  skipWithoutGolden(context);
  using _ = torch.scope();
  const golden = loadGolden();
  safetensors.save(join(folder, "model.safetensors"), under(golden, "weights."));
  const config = {
    vocab_size: 65,
    n_embd: 32,
    n_heads: 4,
    n_layers: 2,
    block_size: 64,
    wavenet_layers: 3,
    reshape_factor: 4,
    dropout: 0,
  };
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  const model = fromPretrained(folder);
  expect(model).toBeInstanceOf(WaveGPT);
  expect(model.config).toEqual(goldenOptions("previous"));
  const { loss } = model.forward(golden["input.x"]!, {
    previous: golden["input.x_prev"]!,
    targets: golden["input.y"]!,
  });
  expect(loss.number()).toBeCloseTo(4.102119, 5);
});

it("says what a folder lacks", () => {
  expect(() => fromPretrained(folder)).toThrow(
    /cannot read the model's settings from .*config.json/,
  );
  writeFileSync(join(folder, "config.json"), "[]");
  expect(() => fromPretrained(folder)).toThrow(/expected .*config.json to hold a JSON object/);
  writeFileSync(join(folder, "config.json"), JSON.stringify({ vocab_size: 5 }));
  expect(() => fromPretrained(folder)).toThrow(/model.safetensors/);
  writeFileSync(join(folder, "config.json"), JSON.stringify({ n_embd: 8 }));
  expect(() => fromPretrained(folder)).toThrow(/vocabSize must be a whole number from 1/);
});
