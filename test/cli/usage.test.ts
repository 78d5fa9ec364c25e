import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { describeSettings } from "../../src/config/settings.js";
import { run, temporaryFolder } from "./command.js";

/** No library there: whoever loads libtorch fails. */
const WITHOUT_LIBTORCH = { WAVEGPT_LIBTORCH: "/nonexistent", WAVEGPT_NO_DOWNLOAD: "1" };

describe("help", () => {
  it("names every setting's flag with its default, without loading libtorch", async () => {
    const { status, stdout, stderr } = await run(["train", "--help"], { env: WITHOUT_LIBTORCH });
    expect(stderr).toBe("");
    expect(status).toBe(0);
    for (const { flag, kind } of describeSettings()) {
      expect(stdout).toContain(kind === "switch" ? `${flag} ` : `${flag} <`);
    }
    const words = stdout.replace(/\s+/g, " ");
    expect(words).toMatch(/--learning-rate <X> [^<]*\(default: 3e-4\)/);
    expect(words).toMatch(/--batch-size <N> [^<]*\(default: 32\)/);
    expect(words).toMatch(/--cuda-graph [^<]*\(default: off\)/);
    expect(words).toMatch(/--data <FILE\|DIR> [^<]*\(default: Tiny Shakespeare\)/);
    expect(words).toContain(
      "constant, step, multi-step, linear-warmup, cosine, warmup-stable-decay",
    );
  });

  it("is the same for wavegpt-train and wavegpt train", async () => {
    const [short, long] = await Promise.all([
      run(["--help"], { program: "wavegpt-train", env: WITHOUT_LIBTORCH }),
      run(["train", "--help"], { env: WITHOUT_LIBTORCH }),
    ]);
    expect(short.stdout).toBe(long.stdout);
  });

  it("lists the commands, and none that is not there", async () => {
    const { status, stdout } = await run(["--help"], { env: WITHOUT_LIBTORCH });
    expect(status).toBe(0);
    const commands = [...stdout.matchAll(/^ {2}([a-z][\w-]*) .*/gm)].map((match) => match[1]);
    expect(commands).toEqual([
      "train",
      "prepare",
      "train-tokenizer",
      "generate",
      "compare",
      "report",
      "install",
      "doctor",
      "help",
    ]);
  });

  it("prints the version of package.json", async () => {
    const { status, stdout } = await run(["--version"], { env: WITHOUT_LIBTORCH });
    const { version } = JSON.parse(
      readFileSync(new URL("../../package.json", import.meta.url), "utf8"),
    ) as { version: string };
    expect({ status, stdout }).toEqual({ status: 0, stdout: `${version}\n` });
  });
});

describe("bad usage ends with status 2 and one line, before libtorch is loaded", () => {
  const cases: [string, string[], RegExp][] = [
    ["no command", [], /^Usage: wavegpt/],
    ["an unknown command", ["trian"], /unknown command 'trian'.*\n.*train/],
    ["an unknown flag", ["train", "--stpes", "3"], /unknown option '--stpes'\n.*--steps/],
    ["a stray argument", ["train", "text.txt"], /too many arguments/],
    ["a word for a number", ["train", "--steps", "abc"], /--steps\): expected a number, got "abc"/],
    [
      "a number out of range",
      ["train", "--dropout", "1.5"],
      /--dropout\): expected less than 1, got 1.5/,
    ],
    [
      "a fraction of a step",
      ["train", "--batch-size", "2.5"],
      /--batch-size\): expected a whole number, got 2.5/,
    ],
    [
      "an unknown choice",
      ["train", "--model", "lstm"],
      /--model\): expected one of "wavegpt", "gpt", "nanogpt", got "lstm"/,
    ],
    [
      "a WaveNet that is not there",
      ["train", "--wavenet", "next"],
      /--wavenet\): expected one of "previous", "causal", got "next"/,
    ],
    [
      "heads that do not divide the width",
      ["train", "--n-heads", "3"],
      /expected a divisor of the width 128, got 3/,
    ],
    [
      "an unknown preset",
      ["train", "--preset", "tolstoy"],
      /expected one of shakespeare, openwebtext, openwebtext-131k, got "tolstoy"/,
    ],
    [
      "a CUDA graph of another device's steps",
      ["train", "--cuda-graph", "--device", "cpu"],
      /--cuda-graph\): .* expected --device cuda, got cpu/,
    ],
    [
      "a dataset that is not prepared",
      ["train", "--data", "some/text"],
      /--data: some\/text is not prepared yet: .* `wavegpt prepare some\/text`/,
    ],
    ["nothing to prepare", ["prepare"], /missing required argument/],
    ["a missing file", ["train", "--config", "/nonexistent.toml"], /there is no such file/],
    ["a run that is not there", ["train", "--resume", "/nonexistent"], /holds no run/],
    [
      "a profile that is no trace",
      ["train", "--profile", "a.txt"],
      /--profile: .*\.json or .*\.gz/,
    ],
    [
      "a profile in no folder",
      ["train", "--profile", "/nonexistent/a.json"],
      /--profile: cannot write into \/nonexistent \(ENOENT\)/,
    ],
    ["contradictory flags", ["train", "--resume", "--overwrite"], /expected one of them, got both/],
    ["generation from nowhere", ["generate"], /--from <DIR>/],
    [
      "a share above one",
      ["generate", "--from", "x", "--top-p", "3"],
      /--top-p: expected at most 1, got "3"/,
    ],
    ["seeds that are no numbers", ["compare", "--seeds", "1,x"], /--seeds: expected whole numbers/],
    ["the same seed twice", ["compare", "--seeds", "1,1"], /--seeds: expected different/],
  ];
  it.each(cases)("%s", async (_, args, message) => {
    const { status, stdout, stderr } = await run(args, { env: WITHOUT_LIBTORCH });
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/^\s+at /m);
    expect(stdout).toBe("");
    expect(status).toBe(2);
  });

  it("an unknown key of a file, with the one that was meant", async () => {
    const path = join(temporaryFolder(), "run.toml");
    writeFileSync(path, "btach-size = 8\n");
    const { status, stderr } = await run(["train", "--config", path], { env: WITHOUT_LIBTORCH });
    expect(stderr).toMatch(/unknown setting "btach-size"; did you mean "batchSize"\?/);
    expect(status).toBe(2);
  });

  it("a folder that holds something else, which is left as it was", async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, "thesis.txt"), "ten years of work");
    for (const flags of [[], ["--overwrite"]]) {
      const { status, stderr } = await run(["train", "--out", folder, ...flags], {
        env: WITHOUT_LIBTORCH,
      });
      expect(stderr).toMatch(/not empty and holds no run/);
      expect(status).toBe(2);
    }
    expect(readFileSync(join(folder, "thesis.txt"), "utf8")).toBe("ten years of work");
  });

  it("a file where a folder should be", async () => {
    const folder = temporaryFolder();
    const path = join(folder, "file");
    writeFileSync(path, "");
    const { status, stderr } = await run(["train", "--out", path], { env: WITHOUT_LIBTORCH });
    expect(stderr).toMatch(/expected a folder, but .* is a file/);
    expect(status).toBe(2);
  });
});

it("a library that cannot be loaded ends with status 1 and a paragraph without a stack", async () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, "empty"));
  const { status, stderr } = await run(["train", "--out", join(folder, "run")], {
    env: { WAVEGPT_LIBTORCH: join(folder, "empty"), WAVEGPT_NO_DOWNLOAD: "1" },
  });
  expect(stderr).toContain("wavegpt: ");
  expect(stderr).toContain(join(folder, "empty"));
  expect(stderr).not.toMatch(/^\s+at /m);
  expect(status).toBe(1);
});
