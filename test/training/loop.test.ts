// @module-tag gpu

import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { safetensors, torch } from "../../lib/index.js";
import { EvaluationLoader, splitTokens } from "../../src/data/index.js";
import { generate, generateTokens } from "../../src/generate.js";
import { createModel } from "../../src/model/index.js";
import { listCheckpoints } from "../../src/run/checkpoints.js";
import { loadRun } from "../../src/run/load.js";
import { type MetricRecord, readMetrics } from "../../src/run/metrics.js";
import { BPETokenizer, CharTokenizer } from "../../src/tokenizer/index.js";
import { type TrainEvent, train } from "../../src/train.js";
import { evaluate } from "../../src/training/evaluate.js";
import { precisionOf } from "../../src/training/precision.js";
import { smallText, smallTextFile, temporaryFolder } from "../cli/command.js";
import { device } from "../device.js";
import { python } from "../python.js";
import { tinySettings } from "./tiny-run.js";

const data = smallTextFile();
const newFolder = () => join(temporaryFolder(), "run");
const plain = precisionOf("float32", device as "cpu");

function lines(out: string, split: "train" | "val"): MetricRecord[] {
  return readMetrics(join(out, "metrics.jsonl")).filter((record) => record.split === split);
}

describe("a run", () => {
  it("learns: the loss falls far below that of guessing by frequency", async () => {
    const out = newFolder();
    const result = await train(
      tinySettings(data, {
        steps: 150,
        dropout: 0,
        evalEvery: 50,
        schedule: "constant",
        warmupSteps: 0,
      }),
      { out },
    );
    const val = lines(out, "val");
    expect(val.map((record) => record.step)).toEqual([0, 50, 100, 150]);
    expect(val[0]!.loss).toBeGreaterThan(2.5);
    expect(val.at(-1)!.loss).toBeLessThan(1.2);
    expect(result.best!.loss).toBe(Math.min(...val.map((record) => record.loss)));
  });

  it("reports what happens in order, and what it writes is what it says", async () => {
    const out = newFolder();
    const events: TrainEvent[] = [];
    await train(tinySettings(data), { out, onEvent: (event) => events.push(event) });
    expect(events[0]!.type).toBe("start");
    expect(events.at(-1)!.type).toBe("end");
    const steps = events.flatMap((event) => (event.type === "step" ? [event.step] : []));
    expect(steps).toEqual(Array.from({ length: 24 }, (_, i) => i + 1));
    const samples = events.flatMap((event) => (event.type === "sample" ? [event] : []));
    expect(samples.map((sample) => sample.step)).toEqual([0, 8, 16, 24]);
    for (const sample of samples) expect([...sample.text]).toHaveLength(12);
    const told = events.flatMap((event) =>
      event.type === "train" || event.type === "val" ? [event.record] : [],
    );
    expect(readMetrics(join(out, "metrics.jsonl"))).toEqual(told);
    expect(lines(out, "train").map((record) => record.step)).toEqual([5, 10, 15, 20, 24]);
    for (const record of told) {
      expect(record).toMatchObject({
        tokens: record.step * 4 * 16,
        loss: expect.any(Number),
        lr: expect.any(Number),
        alpha: expect.any(Number),
      });
      expect(record.tokens_per_second).toBeGreaterThan(0);
    }
    expect(readdirSync(out).sort()).toEqual([
      "checkpoints",
      "config.json",
      "metrics.jsonl",
      "model.safetensors",
      "report.html",
      "tokenizer.json",
    ]);
  });

  it("writes a config.json that repeats it", async () => {
    const [first, second] = [newFolder(), newFolder()];
    await train(tinySettings(data), { out: first });
    const config = JSON.parse(readFileSync(join(first, "config.json"), "utf8"));
    expect(config).toMatchObject({
      model_type: "wavegpt",
      vocab_size: CharTokenizer.fromText(smallText()).vocabSize,
      settings: { nEmbd: 16, steps: 24, data },
      text: { path: data, characters: [...smallText()].length },
    });
    await train({}, { config: join(first, "config.json"), out: second });
    expect(readFileSync(join(second, "model.safetensors"))).toEqual(
      readFileSync(join(first, "model.safetensors")),
    );
  });

  it("keeps the best model by held-out loss, and Python reads it", async () => {
    const out = newFolder();
    // A rate that soon overshoots: the best is not the last.
    await train(
      tinySettings(data, {
        wavenet: "previous",
        steps: 40,
        learningRate: 0.03,
        schedule: "constant",
        warmupSteps: 0,
        clip: 0,
      }),
      { out },
    );
    const val = lines(out, "val");
    const best = val.reduce((a, b) => (b.loss < a.loss ? b : a));
    const { model, tokenizer } = loadRun(out, { device });
    const tokens = splitTokens(tokenizer.encode(smallText()), 0.8).val;
    const loader = new EvaluationLoader({
      tokens,
      batchSize: 4,
      blockSize: 16,
      maxBlocks: 16,
      device,
    });
    expect(await evaluate(model, loader, plain)).toBe(best.loss);
    const names = python(
      "import sys, json; from safetensors.torch import load_file; print(json.dumps(sorted(load_file(sys.argv[1]))))",
      join(out, "model.safetensors"),
    );
    expect(JSON.parse(names)).toContain("token_emb.weight");
  });

  it("trains a GPT too, which has no alpha", async () => {
    const out = newFolder();
    await train(tinySettings(data, { model: "gpt", steps: 10 }), { out });
    expect(readMetrics(join(out, "metrics.jsonl")).every((record) => record.alpha === null)).toBe(
      true,
    );
  });

  it("reads every .txt file of a folder, by name", async () => {
    const folder = temporaryFolder();
    const half = smallText().length >> 1;
    writeFileSync(join(folder, "a.txt"), smallText().slice(0, half));
    writeFileSync(join(folder, "b.txt"), smallText().slice(half));
    writeFileSync(join(folder, "notes.md"), "not this: ÄÖÜ");
    const out = newFolder();
    await train(tinySettings(folder, { steps: 2 }), { out });
    const { tokenizer } = loadRun(out);
    expect(tokenizer.vocabSize).toBe(CharTokenizer.fromText(smallText()).vocabSize);
  });

  it.each([
    ["nothing", "", /is empty/],
    ["too little", "abcdefgh", /too short/],
  ])("refuses a text of %s before it writes", async (_, text, message) => {
    const path = join(temporaryFolder(), "text.txt");
    writeFileSync(path, text);
    const out = newFolder();
    await expect(train(tinySettings(path), { out })).rejects.toThrow(message);
    expect(existsSync(out)).toBe(false);
  });

  it("refuses bytes that are no text", async () => {
    const path = join(temporaryFolder(), "text.txt");
    writeFileSync(path, Uint8Array.of(0x61, 0xff, 0xfe));
    await expect(train(tinySettings(path), { out: newFolder() })).rejects.toThrow(
      /is not UTF-8 text/,
    );
  });
});

describe("learning rates as logged, step by step", () => {
  const base = 1e-3;
  const rates = async (more: Parameters<typeof tinySettings>[1]) => {
    const out = newFolder();
    await train(
      tinySettings(data, {
        steps: 20,
        logEvery: 1,
        evalEvery: 20,
        learningRate: base,
        warmupSteps: 0,
        ...more,
      }),
      { out },
    );
    return lines(out, "train").map((record) => record.lr);
  };
  // The rate of step s is the schedule's after s - 1 steps.
  const expected = (rate: (done: number) => number) =>
    Array.from({ length: 20 }, (_, i) => rate(i));
  const close = (got: number[], want: number[]) => {
    expect(got).toHaveLength(want.length);
    for (const [i, value] of got.entries()) expect(Math.abs(value - want[i]!)).toBeLessThan(1e-12);
  };

  it("constant", async () =>
    close(
      await rates({ schedule: "constant" }),
      expected(() => base),
    ));

  it("step", async () =>
    close(
      await rates({ schedule: "step", stepSize: 6, gamma: 0.5 }),
      expected((done) => base * 0.5 ** Math.floor(done / 6)),
    ));

  it("multi-step, in steps and in shares of the run", async () =>
    close(
      await rates({ schedule: "multi-step", milestones: [0.7, 5], gamma: 0.1 }),
      expected((done) => base * (done >= 14 ? 0.01 : done >= 5 ? 0.1 : 1)),
    ));

  it("linear-warmup", async () => {
    const got = await rates({ schedule: "linear-warmup", warmupSteps: 8 });
    close(
      got,
      expected((done) => (base * Math.min(done + 1, 9)) / 9),
    );
  });

  it("cosine, from the rate to its least", async () => {
    const got = await rates({ schedule: "cosine", minLearningRate: 1e-4 });
    close(
      got,
      expected((done) => 1e-4 + (base - 1e-4) * 0.5 * (1 + Math.cos((Math.PI * done) / 20))),
    );
  });

  it("warmup-stable-decay rises, stays and falls", async () => {
    const got = await rates({ schedule: "warmup-stable-decay", warmupSteps: 4, decaySteps: 5 });
    expect(got[0]).toBeLessThan(base);
    for (const rate of got.slice(4, 15)) expect(rate).toBeCloseTo(base, 12);
    for (let i = 16; i < 20; i++) expect(got[i]!).toBeLessThan(got[i - 1]!);
  });
});

describe("evaluation", () => {
  const tokenizer = CharTokenizer.fromText(smallText());
  const tokens = tokenizer.encode(smallText()).subarray(0, 700);
  torch.manualSeed(1);
  const model = createModel("wavegpt", {
    ...{ vocabSize: tokenizer.vocabSize, nEmbd: 16, nHeads: 2, nLayers: 1, blockSize: 16 },
    dropout: 0.5,
  }).to(device);

  it("is the mean over every held-out token, each predicted from those before it", async () => {
    // The same, a block at a time with a forward pass of its own.
    let sum = 0;
    model.eval();
    for (let at = 0; at + 1 < tokens.length; at += 16) {
      using _ = torch.scope();
      const row = (from: number, to: number) =>
        torch.tensor([[...tokens.subarray(Math.max(0, from), to)]], { dtype: "int64", device });
      const end = Math.min(at + 16, tokens.length - 1);
      // The last block is whole, its targets that are counted already left out.
      const start = Math.min(at, tokens.length - 1 - 16);
      const { logits } = torch.noGrad(() =>
        model.forward(row(start, end), { previous: start > 0 ? row(start - 16, start) : null }),
      );
      const logProbabilities = logits.logSoftmax(-1).cpu().tolist() as number[][][];
      for (let i = at; i < end; i++) sum -= logProbabilities[0]![i - start]![tokens[i + 1]!]!;
    }
    const loader = new EvaluationLoader({ tokens, batchSize: 4, blockSize: 16, device });
    expect(await evaluate(model, loader, plain)).toBeCloseTo(sum / (tokens.length - 1), 4);
  });

  it("is the same each time, has no dropout, and gives the model back as it was", async () => {
    const loader = new EvaluationLoader({
      tokens,
      batchSize: 4,
      blockSize: 16,
      maxBlocks: 9,
      device,
    });
    model.train();
    const first = await evaluate(model, loader, plain);
    expect(model.training).toBe(true);
    expect(await evaluate(model, loader, plain)).toBe(first);
  });

  it("stops when asked to", async () => {
    const loader = new EvaluationLoader({ tokens, batchSize: 4, blockSize: 16, device });
    expect(await evaluate(model, loader, plain, AbortSignal.abort())).toBeNull();
  });
});

describe("a loss that is no longer a number", () => {
  it("ends the run with what to do; what was saved before is whole and finite", async () => {
    const out = newFolder();
    const error = await train(
      tinySettings(data, {
        ...{
          steps: 200,
          clip: 0,
          schedule: "multi-step",
          milestones: [12],
          gamma: 1e38,
          checkpointEvery: 5,
        },
        warmupSteps: 0,
      }),
      { out },
    ).catch((reason: unknown) => reason);
    expect(error).toMatchObject({
      code: "ERR_WAVEGPT_NON_FINITE",
      message: expect.stringMatching(/at step \d+.*nothing of it was saved.*--clip 1/),
    });
    const checkpoints = listCheckpoints(join(out, "checkpoints"));
    expect(checkpoints.length).toBeGreaterThan(0);
    using _ = torch.scope();
    for (const path of [
      join(out, "model.safetensors"),
      join(checkpoints.at(-1)!.path, "model.safetensors"),
    ]) {
      for (const tensor of Object.values(safetensors.load(path))) {
        expect(tensor.isfinite().all().item()).toBe(true);
      }
    }
    for (const record of readMetrics(join(out, "metrics.jsonl"))) {
      expect(Number.isFinite(record.loss)).toBe(true);
    }
  });
});

describe("generation", () => {
  const tokenizer = CharTokenizer.fromText(smallText());
  torch.manualSeed(2);
  const model = createModel("wavegpt", {
    ...{ vocabSize: tokenizer.vocabSize, nEmbd: 16, nHeads: 2, nLayers: 1, blockSize: 8 },
    dropout: 0.5,
  }).to(device);

  it("gives the same text for the same seed, another for another", () => {
    const write = (seed: number) =>
      [...generate(model, tokenizer, { prompt: "wave", tokens: 40, seed })].join("");
    expect(write(1)).toBe(write(1));
    expect(write(1)).not.toBe(write(2));
    expect([...write(1)]).toHaveLength(40);
  });

  it("takes the likeliest given the window and the context before it", () => {
    // A WaveNet that counts, so that leaving its context out would show.
    using _ = torch.scope();
    const beta = model.namedParameters().find(([name]) => name === "beta")![1];
    torch.noGrad(() => beta.fill_(0.5));
    const prompt = tokenizer.encode(smallText().slice(0, 30));
    const ids = [...prompt];
    model.eval();
    for (let i = 0; i < 12; i++) {
      const row = (tokens: number[]) => torch.tensor([tokens], { dtype: "int64", device });
      const { logits } = torch.noGrad(() =>
        model.forward(row(ids.slice(-8)), { previous: row(ids.slice(-16, -8)) }),
      );
      ids.push(logits.at(0, -1).argmax().number());
    }
    const got = [...generateTokens(model, prompt, { tokens: 12, temperature: 0 })];
    expect(got).toEqual(ids.slice(30));
  });

  it("never draws ids that pad the vocabulary, nor prints half a character", () => {
    const bytes = BPETokenizer.train([""], { vocabSize: 256, special: [] });
    const padded = createModel("gpt", {
      ...{ vocabSize: 320, nEmbd: 8, nHeads: 2, nLayers: 1, blockSize: 8 },
    }).to(device);
    using _ = torch.scope();
    // All of the probability on what pads, and nearly all of the rest on the bytes of one character.
    const bias = padded.namedParameters().find(([name]) => name.endsWith("linear.bias"))![1];
    const likely = torch.full([320], -50);
    torch.noGrad(() => {
      for (const id of bytes.encode("語")) likely.narrow(0, id, 1).fill_(0);
      likely.narrow(0, 256, 64).fill_(50);
      bias.copy_(likely);
    });
    const tokens = { tokens: 300, seed: 5 };
    const pieces = [...generate(padded, bytes, { prompt: "a", ...tokens })];
    const ids = [...generateTokens(padded, bytes.encode("a"), { ...tokens, vocabSize: 256 })];
    expect(Math.max(...ids)).toBeLessThan(256);
    expect(pieces.join("")).toBe(bytes.decode(ids));
    expect(pieces.join("")).toContain("語");
    // A piece is whole characters, or U+FFFD for bytes that make none.
    expect(pieces.filter((piece) => piece === "語").length).toBeGreaterThan(0);
  });

  it("starts without a prompt, from a line break", () => {
    const bare = [...generate(model, tokenizer, { tokens: 10, seed: 3 })].join("");
    expect(bare).toBe(
      [...generate(model, tokenizer, { prompt: "\n", tokens: 10, seed: 3 })].join(""),
    );
  });

  it("leaves libtorch's random numbers and the model's mode alone", () => {
    model.train();
    torch.manualSeed(7);
    using _ = torch.scope();
    const undisturbed = torch.rand([3]).tolist();
    torch.manualSeed(7);
    expect([...generate(model, tokenizer, { tokens: 5 })]).toHaveLength(5);
    expect(torch.rand([3]).tolist()).toEqual(undisturbed);
    expect(model.training).toBe(true);
  });

  it("names a character that the vocabulary lacks", () => {
    expect(() => [...generate(model, tokenizer, { prompt: "é", tokens: 1 })]).toThrow(
      /"é" \(U\+00E9\)/,
    );
  });
});

it("samples and evaluations draw none of the random numbers of training: more of them change no weight", async () => {
  // Two runs that differ in how much they sample must train alike.
  const [quiet, chatty] = [newFolder(), newFolder()];
  await train(tinySettings(data, { sampleTokens: 0 }), { out: quiet });
  await train(tinySettings(data, { sampleTokens: 50, evalEvery: 3 }), { out: chatty });
  const weights = (out: string) =>
    readFileSync(join(listCheckpoints(join(out, "checkpoints")).at(-1)!.path, "model.safetensors"));
  expect(weights(chatty)).toEqual(weights(quiet));
});
