import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { BPETokenizer, loadTokenizer } from "../../src/tokenizer/index.js";
import { run as command, smallText, TINY, temporaryFolder } from "./command.js";

function textFile(): { folder: string; text: string; file: string } {
  const folder = temporaryFolder();
  const file = join(folder, "text.txt");
  const text = `${smallText()} naïve 日本語 😀 `.repeat(4);
  writeFileSync(file, text);
  return { folder, text, file };
}

describe("wavegpt train-tokenizer", () => {
  it("learns what BPETokenizer.train learns, without libtorch", async () => {
    const { folder, text, file } = textFile();
    const out = join(folder, "tokenizer.json");
    const arguments_ = ["train-tokenizer", file, "--vocab-size", "300", "--out", out];
    const { status, stdout } = await command(arguments_, {
      env: { WAVEGPT_LIBTORCH: join(folder, "nowhere") },
    });
    expect(status).toBe(0);
    expect(stdout).toMatch(/^300 tokens, learnt from 1 document, .* different words\nTokenizer: /);
    const expected = BPETokenizer.train([text], { vocabSize: 300 });
    expect(loadTokenizer(out).toJSON()).toEqual(expected.toJSON());

    const again = await command(arguments_);
    expect(again.status).toBe(2);
    expect(again.stderr).toMatch(/is there already\. Replace it with --overwrite/);
    expect((await command([...arguments_, "--overwrite"])).status).toBe(0);
  });

  it("names what it cannot use", async () => {
    const { folder, file } = textFile();
    const out = ["--out", join(folder, "tokenizer.json")];
    const cases: readonly (readonly [readonly string[], RegExp])[] = [
      [
        [file, "--vocab-size", "256"],
        /--vocab-size: expected a whole number from 257 to .*, got 256/,
      ],
      [[file, "--vocab-size", "x"], /--vocab-size: expected a whole number/],
      [[file], /--vocab-size <N>' not specified/],
      [[file, "--vocab-size", "300", "--min-frequency", "0"], /--min-frequency: expected/],
      [[join(folder, "none.txt"), "--vocab-size", "300"], /there is no such file or folder/],
    ];
    for (const [arguments_, message] of cases) {
      const { status, stderr } = await command(["train-tokenizer", ...arguments_, ...out]);
      expect(stderr).toMatch(message);
      expect(status).toBe(2);
    }
  });
});

describe("wavegpt train --tokenizer", () => {
  it("trains, goes on and writes with a tokenizer that was learnt", async () => {
    const { folder, file } = textFile();
    const tokenizer = join(folder, "learnt.json");
    const run = join(folder, "run");
    await command(["train-tokenizer", file, "--vocab-size", "300", "--out", tokenizer]);
    const train = ["train", "--data", file, "--out", run, "--tokenizer", tokenizer, ...TINY];
    const first = await command([...train, "--steps", "3"]);
    expect(first.stderr).toBe("");
    expect(first.stdout).toMatch(/a vocabulary of 300 tokens \(bpe\)/);
    const config = JSON.parse(readFileSync(join(run, "config.json"), "utf8"));
    // Rounded up to a multiple of 64.
    expect(config.vocab_size).toBe(320);
    expect(loadTokenizer(join(run, "tokenizer.json")).describe()).toEqual(
      loadTokenizer(tokenizer).describe(),
    );

    const other = await command(["train", "--resume", "--out", run, "--tokenizer", "char"]);
    expect(other.status).toBe(2);
    expect(other.stderr).toMatch(/a run cannot go on with another --tokenizer/);
    const more = await command(["train", "--resume", "--out", run, "--steps", "5"]);
    expect(more.status).toBe(0);

    const written = await command([
      "generate",
      "--from",
      run,
      "--tokens",
      "30",
      "--prompt",
      "日本 😀",
    ]);
    expect(written.status).toBe(0);
    expect(written.stdout.startsWith("日本 😀")).toBe(true);
  });

  it("takes GPT-2's tokens, and pads its vocabulary", async () => {
    const { folder, file } = textFile();
    const run = join(folder, "run");
    const { status, stdout } = await command([
      "train",
      "--data",
      file,
      "--out",
      run,
      "--tokenizer",
      "gpt2",
      ...TINY,
      "--steps",
      "1",
    ]);
    expect(stdout).toMatch(/a vocabulary of 50,257 tokens \(gpt2\)/);
    expect(status).toBe(0);
    expect(JSON.parse(readFileSync(join(run, "config.json"), "utf8")).vocab_size).toBe(50304);
    expect(loadTokenizer(join(run, "tokenizer.json")).type).toBe("gpt2");
  });

  it("names a tokenizer that is none, before anything is written", async () => {
    const { folder, file } = textFile();
    const run = ["--data", file, "--out", join(folder, "run"), ...TINY];
    const missing = await command(["train", ...run, "--tokenizer", "gpt-2"]);
    expect(missing.status).toBe(2);
    expect(missing.stderr).toMatch(
      /--tokenizer: expected char, gpt2 or the path of a tokenizer\.json/,
    );
    const wrong = await command(["train", ...run, "--tokenizer", file]);
    expect(wrong.status).toBe(2);
    expect(wrong.stderr).toMatch(/--tokenizer: cannot load the tokenizer/);
    const unknown = await command(["train", ...run, "--tokenizer", "gpt2", "--unknown", "?"]);
    expect(unknown.status).toBe(2);
    expect(unknown.stderr).toMatch(
      /unknown \(--unknown\): only the vocabulary of --tokenizer char/,
    );
  });
});
