// @module-tag gpu

import { existsSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { torch } from "../../lib/index.js";
import { RunningEvaluationLoader } from "../../src/data/index.js";
import { generateTokens } from "../../src/generate.js";
import { fromPretrained, type History, savePretrained, WaveGPT } from "../../src/model/index.js";
import { listCheckpoints } from "../../src/run/checkpoints.js";
import { type TrainEvent, train } from "../../src/train.js";
import { evaluate } from "../../src/training/evaluate.js";
import { precisionOf } from "../../src/training/precision.js";
import { smallTextFile, start, temporaryFolder } from "../cli/command.js";
import { device } from "../device.js";
import { randomTokens } from "../model/compare.js";
import { fingerprint, tinySettings } from "./tiny-run.js";

const data = smallTextFile();
const newFolder = () => join(temporaryFolder(), "run");
const plain = precisionOf("float32", device as "cpu");
const causal = { wavenet: "causal", wavenetLayers: 5 } as const;
/** Without and with retention. */
const MEMORIES = [0, 2] as const;

function tinyModel(history: "carried" | "zeroed" = "carried", memory = 2): WaveGPT {
  torch.manualSeed(5);
  const wavenet = { mode: "causal", layers: 5, memory, history } as const;
  const shape = { vocabSize: 11, nEmbd: 16, nHeads: 2, nLayers: 1, blockSize: 8 };
  return new WaveGPT({ ...shape, wavenet }, { device });
}

function tokens(length: number): Uint32Array {
  return torch.tidy(() =>
    Uint32Array.from(randomTokens(1, length, 11).reshape([-1]).tolist() as bigint[], Number),
  );
}

describe("the held-out loss of a causal model", () => {
  it.each(MEMORIES)(
    "is the same however many rows read the text: that of one reading from beginning to end (memory %i)",
    async (memory) => {
      const model = tinyModel("carried", memory);
      const text = tokens(403);
      const options = {
        tokens: text,
        blockSize: 8,
        reach: model.memory === null ? model.receptiveField! : 403,
        device,
      };
      const losses: number[] = [];
      for (const batchSize of [1, 3, 16]) {
        const loader = new RunningEvaluationLoader({ ...options, batchSize });
        losses.push((await evaluate(model, loader, plain))!);
      }
      // The text in one go, by hand.
      const { sum, count } = torch.tidy(() => {
        model.eval();
        let history: History | null = null;
        let sum = 0;
        for (let at = 0; at < 402; at += 8) {
          const length = Math.min(8, 402 - at);
          const row = (from: number) =>
            torch.tensor([Array.from(text.subarray(from, from + length))], {
              dtype: "int64",
              device,
            });
          const result = torch.noGrad(() =>
            model.forward(row(at), { history, targets: row(at + 1) }),
          );
          sum += result.loss.number() * length;
          history = result.history;
        }
        return { sum, count: 402 };
      });
      for (const loss of losses) expect(Math.abs(loss - sum / count)).toBeLessThan(1e-6);
    },
  );

  it("knows the history: with none it is another", async () => {
    const text = tokens(200);
    const losses: number[] = [];
    for (const form of ["carried", "zeroed"] as const) {
      const options = { tokens: text, batchSize: 2, blockSize: 8, reach: 32, device };
      const loader = new RunningEvaluationLoader(options);
      losses.push((await evaluate(tinyModel(form), loader, plain))!);
    }
    expect(Math.abs(losses[0]! - losses[1]!)).toBeGreaterThan(1e-4);
  });
});

it("a generated text is what the model expects after all of the text before", () => {
  const model = tinyModel().eval();
  const prompt = tokens(45);
  const written = [...generateTokens(model, prompt, { tokens: 30, temperature: 0 })];
  const text = [...prompt, ...written];
  torch.tidy(() => {
    const row = (ids: number[]) => torch.tensor([ids], { dtype: "int64", device });
    for (let at = prompt.length; at < text.length; at++) {
      // The window, and the history of everything before it read token by token.
      let history: History | null = null;
      for (const id of text.slice(0, at - 8)) history = model.readHistory(row([id]), history);
      const { logits } = model.forward(row(text.slice(at - 8, at)), { history, lastOnly: true });
      expect(Number(logits.argmax({ dim: -1 }).item())).toBe(text[at]);
    }
  });
  expect(new Set(written).size).toBeGreaterThan(1);
});

it("a saved causal model comes back the same", () => {
  using _ = torch.scope();
  const folder = newFolder();
  const model = tinyModel("zeroed").eval();
  savePretrained(model, folder);
  const loaded = fromPretrained(folder);
  expect(loaded.config).toEqual(model.config);
  const x = randomTokens(2, 8, 11);
  expect(torch.equal(loaded.forward(x).logits, model.forward(x).logits)).toBe(true);
});

describe("a causal model from before there was retention", () => {
  /** Takes the setting out of a config.json, as it was then. */
  const forget = (path: string) => {
    const { wavenet_memory: _, ...config } = JSON.parse(readFileSync(path, "utf8"));
    if (config.settings) delete config.settings.wavenetMemory;
    writeFileSync(path, JSON.stringify(config));
  };

  it("loads as the convolutions that it is", () => {
    using _ = torch.scope();
    const folder = newFolder();
    const model = tinyModel("carried", 0).eval();
    savePretrained(model, folder);
    forget(join(folder, "config.json"));
    const loaded = fromPretrained(folder);
    expect(loaded.config).toEqual(model.config);
    const x = randomTokens(2, 8, 11);
    expect(torch.equal(loaded.forward(x).logits, model.forward(x).logits)).toBe(true);
  });

  it("goes on with its run", async () => {
    const whole = newFolder();
    const pure = tinySettings(data, { ...causal, wavenetMemory: 0 });
    await train(pure, { out: whole });
    const out = newFolder();
    const controller = new AbortController();
    await train(pure, {
      out,
      signal: controller.signal,
      onEvent: (event) => {
        if (event.type === "step" && event.step === 7) controller.abort();
      },
    });
    forget(join(out, "config.json"));
    await train({}, { out, resume: true });
    expect(fingerprint(out)).toEqual(fingerprint(whole));
  });
});

describe("a causal run", () => {
  const settings = tinySettings(data, causal);

  it("that is interrupted and resumed is the uninterrupted one, bit for bit, its history included", async () => {
    const whole = newFolder();
    const events: TrainEvent[] = [];
    await train(settings, { out: whole, onEvent: (event) => events.push(event) });
    expect(events[0]).toMatchObject({
      type: "start",
      receptiveField: 8,
      memory: { layers: 2, halfLives: expect.any(Array) },
    });
    const out = newFolder();
    for (const step of [7, 13]) {
      const controller = new AbortController();
      await train(step === 7 ? settings : {}, {
        out,
        resume: step !== 7,
        signal: controller.signal,
        onEvent: (event) => {
          if (event.type === "step" && event.step === step) controller.abort();
        },
      });
    }
    await train({}, { out, resume: true });
    expect(fingerprint(out)).toEqual(fingerprint(whole));
    expect(fingerprint(out).history).toBeTruthy();
  });

  it("whose history is damaged goes on from the checkpoint before", async () => {
    const whole = newFolder();
    await train(settings, { out: whole });
    const expected = fingerprint(whole);
    const last = listCheckpoints(join(whole, "checkpoints")).at(-1)!;
    truncateSync(join(last.path, "history.safetensors"), 40);
    const events: TrainEvent[] = [];
    await train({}, { out: whole, resume: true, onEvent: (event) => events.push(event) });
    expect(events.find((event) => event.type === "start")).toMatchObject({ step: 20 });
    expect(fingerprint(whole)).toEqual(expected);
  });

  it("that is killed goes on from its last checkpoint, bit for bit", async () => {
    const whole = newFolder();
    await train({ ...settings, evalEvery: 24, steps: 400, checkpointEvery: 10 }, { out: whole });
    const out = newFolder();
    const flags = Object.entries({
      ...settings,
      evalEvery: 24,
      steps: 400,
      checkpointEvery: 10,
    }).flatMap(([name, value]) => [
      `--${name.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}`,
      String(value),
    ]);
    const { child, finished } = start(["train", ...flags, "--out", out]);
    while (listCheckpoints(join(out, "checkpoints")).length === 0) {
      expect(child.exitCode).toBeNull();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    child.kill("SIGKILL");
    expect((await finished).signal).toBe("SIGKILL");
    const { step, path } = listCheckpoints(join(out, "checkpoints")).at(-1)!;
    expect(existsSync(join(path, "history.safetensors"))).toBe(true);
    expect(step).toBeLessThan(400);
    await train({}, { out, resume: true });
    expect(fingerprint(out)).toEqual(fingerprint(whole));
  });

  it.each([
    ["a GPT", { model: "gpt" }],
    ["the WaveNet of the mode previous", { wavenet: "previous" }],
  ] as const)("has a control: %s learns from rows that run on too", async (_, model) => {
    const out = newFolder();
    const result = await train(tinySettings(data, { ...model, order: "running" }), { out });
    expect(result.finished).toBe(true);
    const state = JSON.parse(
      readFileSync(
        join(listCheckpoints(join(out, "checkpoints")).at(-1)!.path, "state.json"),
        "utf8",
      ),
    );
    expect(state.loader.order).toBe("running");
    expect(fingerprint(out).history).toBeNull();
  });

  it.each([["carried"], ["shuffled"], ["zeroed"]] as const)(
    "learns with its history %s, and with alpha at one",
    async (wavenetHistory) => {
      const losses = [];
      for (const wavenetAlpha of ["learned", "one"] as const) {
        const out = newFolder();
        await train(tinySettings(data, { ...causal, wavenetHistory, wavenetAlpha, steps: 60 }), {
          out,
        });
        const lines = readFileSync(join(out, "metrics.jsonl"), "utf8").trim().split("\n");
        const val = lines.map((line) => JSON.parse(line)).filter(({ split }) => split === "val");
        expect(val.at(-1).loss).toBeLessThan(val[0].loss - 0.5);
        losses.push(val.at(-1).loss);
      }
      expect(losses[0]).not.toBe(losses[1]);
    },
  );
});
