import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { BytePairTokenizer, GPT2Tokenizer } from "../../src/tokenizer/index.js";
import { contents, documents, jsonLines } from "../prepare/documents.js";
import { tiktoken } from "../tokenizer/peers.js";
import { run, start, TINY, temporaryFolder } from "./command.js";

const folder = temporaryFolder();
const texts = documents(1200);
const data = join(folder, "tokens");
const json = <T>(path: string) => JSON.parse(readFileSync(path, "utf8")) as T;
const metrics = (out: string) =>
  readFileSync(join(out, "metrics.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map(
      (line) => JSON.parse(line) as { step: number; split: string; loss: number; tokens: number },
    );

beforeAll(async () => {
  const path = jsonLines(join(folder, "text.jsonl"), texts);
  const { status, stderr } = await run(["prepare", path, "--out", data, "--validation", "0.05"]);
  expect(stderr).toBe("");
  expect(status).toBe(0);
});

describe("tokens of GPT-2", () => {
  it("are tiktoken's, with the end of text before each document", () => {
    const { train, val } = json<{ train: { shards: { file: string }[] }; val: { tokens: number } }>(
      join(data, "manifest.json"),
    );
    const bytes = readFileSync(join(data, train.shards[0]!.file)).subarray(128);
    const ids = new Uint16Array(new Uint8Array(bytes).buffer);
    expect(ids[0]).toBe(50_256);
    const tokenizer = new GPT2Tokenizer();
    expect(tokenizer).toBeInstanceOf(BytePairTokenizer);
    // One text after the other, as it stands between two ends of text.
    const found: number[][] = [];
    for (const id of ids) {
      if (id === 50_256) found.push([]);
      else found.at(-1)!.push(id);
    }
    const trained = found.map((tokens) => tokenizer.decode(tokens));
    const wanted = new Set(texts);
    expect(trained.every((text) => wanted.has(text))).toBe(true);
    expect(val.tokens).toBeGreaterThan(500);
    const together = tiktoken(trained.join("\n"));
    expect([...tokenizer.encode(trained.join("\n"))]).toEqual([...together]);
    for (const at of [0, 10, 500]) expect(found[at]).toEqual([...tiktoken(trained[at]!)]);
  });
});

describe("wavegpt train --data", () => {
  it("learns from what was prepared, goes on where it was, and writes text", async () => {
    const [whole, cut] = [join(folder, "whole"), join(folder, "cut")];
    const form = ["--wavenet", "previous", "--previous", "document"];
    const flags = ["--data", data, ...form, ...TINY];
    const first = await run(["train", ...flags, "--steps", "60", "--out", whole]);
    expect([first.status, first.stderr]).toEqual([0, ""]);
    const config = json<Record<string, unknown>>(join(whole, "config.json"));
    expect(config.vocab_size).toBe(50_304);
    expect(config.text).toMatchObject({ path: data, title: "tokens" });
    expect(json(join(whole, "tokenizer.json"))).toMatchObject({ type: "gpt2" });
    const losses = metrics(whole).filter(({ split }) => split === "val");
    expect(losses.at(-1)!.loss).toBeLessThan(losses[0]!.loss);

    const running = start(["train", ...flags, "--steps", "60", "--out", cut]);
    await running.until(/step 10 /);
    running.child.kill("SIGINT");
    expect((await running.finished).status).toBe(130);
    expect((await run(["train", "--resume", cut])).status).toBe(0);
    const own = ({ step, split, loss }: { step: number; split: string; loss: number }) => [
      step,
      split,
      loss,
    ];
    expect(metrics(cut).map(own)).toEqual(metrics(whole).map(own));
    expect(contents(cut)["model.safetensors"]).toBe(contents(whole)["model.safetensors"]);

    const text = await run(["generate", "--from", whole, "--tokens", "30"]);
    expect([text.status, text.stderr]).toEqual([0, ""]);
    expect(text.stdout.length).toBeGreaterThan(30);
  });

  it("learns from files of tokens whose tokenizer is not at hand", async () => {
    const files = join(folder, "ids");
    mkdirSync(files);
    writeFileSync(
      join(files, "train.bin"),
      new Uint8Array(Uint16Array.from({ length: 3000 }, (_, i) => i % 50).buffer),
    );
    writeFileSync(
      join(files, "val.bin"),
      new Uint8Array(Uint16Array.from({ length: 300 }, (_, i) => i % 50).buffer),
    );
    const out = join(folder, "ids-run");
    const flags = ["--data", files, "--vocab-size", "50", "--steps", "20", ...TINY, "--out", out];
    const { status, stderr } = await run(["train", ...flags]);
    expect([status, stderr]).toEqual([0, ""]);
    const text = await run(["generate", "--from", out, "--prompt", "1 2 3", "--tokens", "5"]);
    expect(text.stdout).toMatch(/(\d+ ){5}/);
    const small = await run(["train", ...flags.with(3, "20"), "--overwrite"]);
    expect([small.status, small.stderr]).toEqual([
      2,
      expect.stringMatching(
        /has the token 20 at position 20 of its training part, which is outside the vocabulary of 20/,
      ),
    ]);
  });

  it("adds up gradients to 131,072 tokens a step, as the preset openwebtext-131k does", async () => {
    const file = join(folder, "many.bin");
    writeFileSync(file, new Uint8Array(Uint16Array.from({ length: 2e5 }, (_, i) => i % 64).buffer));
    const out = join(folder, "many-run");
    const small = ["--n-embd", "8", "--n-heads", "1", "--n-layers", "1", "--sample-tokens", "0"];
    const { status, stderr } = await run([
      ...["train", "--preset", "openwebtext-131k", "--data", file, "--vocab-size", "64"],
      ...["--steps", "2", "--warmup-steps", "0", "--log-every", "1", "--eval-batches", "1"],
      ...[...small, "--out", out],
    ]);
    expect([status, stderr]).toEqual([0, ""]);
    const { settings } = json<{ settings: Record<string, unknown> }>(join(out, "config.json"));
    expect(settings).toMatchObject({ batchSize: 2048, blockSize: 64, accumulate: 32 });
    const trained = metrics(out).filter(({ split }) => split === "train");
    expect(trained.map(({ tokens }) => tokens)).toEqual([131_072, 262_144]);
  });

  it("takes the tokenizer that tokens were made with, and no other", async () => {
    const flags = ["train", "--data", data, "--steps", "2", ...TINY];
    const same = await run([...flags, "--tokenizer", "gpt2", "--out", join(folder, "same")]);
    expect([same.status, same.stderr]).toEqual([0, ""]);
    const other = await run([...flags, "--vocab-size", "60000", "--out", join(folder, "x")]);
    expect([other.status, other.stderr]).toEqual([
      2,
      expect.stringMatching(/was prepared with another tokenizer \(gpt2, 50257 tokens\)/),
    ]);
  });

  it("says that the corpus of a run has changed, or has no tokens of a part", async () => {
    const out = join(folder, "changed");
    const flags = ["--data", data, "--steps", "4", ...TINY];
    expect((await run(["train", ...flags, "--out", out])).status).toBe(0);
    const again = join(folder, "other");
    await run(["prepare", join(folder, "text.jsonl"), "--out", again, "--validation", "0"]);
    const empty = await run(["train", "--data", again, ...TINY, "--out", join(folder, "none")]);
    expect([empty.status, empty.stderr]).toEqual([
      2,
      expect.stringMatching(/has no tokens for validation\. Prepare it with another share/),
    ]);
    renameSync(data, `${data}-before`);
    await run(["prepare", join(folder, "text.jsonl"), "--out", data, "--validation", "0.2"]);
    const resumed = await run(["train", "--resume", out, "--steps", "8"]);
    expect([resumed.status, resumed.stderr]).toEqual([
      2,
      expect.stringMatching(/has other content/),
    ]);
  });

  it("finds what was prepared by the dataset's name, as the preset openwebtext does", async () => {
    const home = join(folder, "home");
    mkdirSync(join(home, "data"), { recursive: true });
    const environment = { cwd: home, env: { WAVEGPT_DATA_DIR: "" } };
    const flags = ["train", "--preset", "openwebtext", "--steps", "2", ...TINY, "--out", "run"];
    const missing = await run(flags, environment);
    expect([missing.status, missing.stderr]).toEqual([
      2,
      expect.stringMatching(
        /openwebtext is not prepared yet: there is no folder data\/openwebtext\. Make it with `wavegpt prepare openwebtext --documents 250000`/,
      ),
    ]);
    await run(
      ["prepare", join(folder, "text.jsonl"), "--out", "data/openwebtext", "--validation", "0.05"],
      environment,
    );
    const found = await run(flags, environment);
    expect([found.status, found.stderr]).toEqual([0, ""]);
    const { settings, ...config } = json<{ settings: Record<string, unknown>; vocab_size: number }>(
      join(home, "run", "config.json"),
    );
    expect(config.vocab_size).toBe(50_304);
    expect(settings).toMatchObject({
      schedule: "constant",
      learningRate: 3e-4,
      epochs: 10,
      evalEvery: 1000,
    });
  });
});
