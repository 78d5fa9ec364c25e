import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import type { Manifest } from "../../src/data/manifest.js";
import { run, temporaryFolder } from "../cli/command.js";
import { pythonFile } from "../python.js";
import { contents, documents, jsonLines, tokenizerFile } from "./documents.js";

const SCRIPT = join(import.meta.dirname, "documents.py");
const folder = temporaryFolder();
const texts = documents(1500);
const json = join(folder, "documents.json");
let tokenizer = "";

const manifestOf = (out: string) =>
  JSON.parse(readFileSync(join(out, "manifest.json"), "utf8")) as Manifest;

async function prepare(sources: string[], out: string, ...flags: string[]) {
  return run(["prepare", ...sources, "--tokenizer", tokenizer, "--out", out, ...flags], {
    cwd: folder,
    // None of this needs libtorch.
    env: { WAVEGPT_LIBTORCH: "/nowhere" },
  });
}

/** The tokens of a part, over all its shards, as bytes. */
function tokens(out: string, part: "train" | "val"): Buffer {
  const shards = manifestOf(out)[part].shards;
  return Buffer.concat(shards.map(({ file }) => readFileSync(join(out, file)).subarray(128)));
}

/** The tokens that Python worked out. */
function expectedTokens(part: "train" | "val"): Buffer {
  return readFileSync(join(folder, `${part}.npy`)).subarray(128);
}

beforeAll(() => {
  tokenizer = tokenizerFile(folder);
  writeFileSync(json, JSON.stringify(texts));
});

describe("wavegpt prepare", () => {
  it("writes the tokens that Python works out, in shards that numpy reads", async () => {
    jsonLines(join(folder, "plain.jsonl"), texts);
    const out = join(folder, "plain");
    const { status, stderr, stdout } = await prepare(
      ["plain.jsonl"],
      out,
      "--validation",
      "0.1",
      "--shard-tokens",
      "100000",
    );
    expect(stderr).toBe("");
    expect(status).toBe(0);
    expect(stdout).toMatch(/Training: [\d,]+ tokens of [\d,]+ documents, \d+ shards/);
    const { train, val, emptyDocuments, dtype } = manifestOf(out);
    expect([dtype, emptyDocuments, train.documents + val.documents]).toEqual(["uint16", 1, 1499]);
    expect(train.shards.slice(0, -1).map((shard) => shard.tokens)).toEqual(
      Array.from({ length: train.shards.length - 1 }, () => 100000),
    );
    pythonFile(SCRIPT, "shards", folder, tokenizer, json, "0.1");
    for (const part of ["train", "val"] as const) {
      const expected = expectedTokens(part);
      expect(tokens(out, part).equals(expected)).toBe(true);
      expect(2 * manifestOf(out)[part].tokens).toBe(expected.length);
    }
    const characters = texts.reduce((sum, text) => sum + [...text].length, 0);
    const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
    expect(train.characters + val.characters).toBe(characters);
    expect(train.bytes + val.bytes).toBe(bytes);
    const sums = contents(out);
    for (const { file, sha256 } of [...train.shards, ...val.shards])
      expect(sums[file]).toBe(sha256);
  });

  it("reads every format to the same shards: text, lines, gzip, zstd, parquet of every codec, standard input", async () => {
    const marked = texts.map((text) => `<|endoftext|>${text}`).join("");
    writeFileSync(join(folder, "marked.txt"), marked);
    for (const ending of ["gz", "zst"]) {
      pythonFile(SCRIPT, "jsonl", json, join(folder, `lines.jsonl.${ending}`));
    }
    const codecs = ["none", "snappy", "gzip", "zstd", "brotli", "lz4"];
    for (const codec of codecs) {
      pythonFile(SCRIPT, "parquet", json, join(folder, `${codec}.parquet`), codec, "400", "junk");
    }
    const sources = [
      ["plain.jsonl"],
      ["marked.txt"],
      ["lines.jsonl.gz"],
      ["lines.jsonl.zst"],
      ...codecs.map((codec) => [`${codec}.parquet`]),
    ];
    const reference = contents(join(folder, "plain"));
    for (const [index, source] of sources.entries()) {
      const out = join(folder, `format-${index}`);
      const { status, stderr } = await prepare(
        source,
        out,
        "--validation",
        "0.1",
        "--shard-tokens",
        "100000",
      );
      expect([source, stderr, status]).toEqual([source, "", 0]);
      const found = contents(out);
      expect({ ...found, "manifest.json": "" }).toEqual({ ...reference, "manifest.json": "" });
    }
    const out = join(folder, "format-stdin");
    const command = `cat ${join(folder, "marked.txt")} | ${process.execPath} ${join(import.meta.dirname, "../../bin/wavegpt.js")} prepare - --tokenizer ${tokenizer} --out ${out} --validation 0.1 --shard-tokens 100000`;
    const { status } = await run([], { shell: `${command}; exit $?;` });
    expect(status).toBe(0);
    expect({ ...contents(out), "manifest.json": "" }).toEqual({
      ...reference,
      "manifest.json": "",
    });
  });

  it("puts a text that comes again into the same part, whatever else there is", async () => {
    jsonLines(join(folder, "once.jsonl"), texts.slice(0, 300));
    jsonLines(join(folder, "again.jsonl"), [...texts.slice(0, 300)].reverse());
    await prepare(["once.jsonl"], join(folder, "once"), "--validation", "0.3");
    await prepare(["once.jsonl", "again.jsonl"], join(folder, "twice"), "--validation", "0.3");
    const [once, twice] = ["once", "twice"].map((name) => manifestOf(join(folder, name)));
    expect(once!.val.documents).toBeGreaterThan(50);
    for (const part of ["train", "val"] as const) {
      expect(twice![part].documents).toBe(2 * once![part].documents);
      expect(twice![part].tokens).toBe(2 * once![part].tokens);
    }
  });

  it("takes folders, globs and the first documents", async () => {
    const out = join(folder, "glob");
    const { status } = await prepare(["{once,again}.jsonl"], out, "--documents", "450");
    expect(status).toBe(0);
    const { train, val, emptyDocuments, source } = manifestOf(out);
    // One of them is empty: the fourth of the first file in the order of names, which is the reversed one's 297th.
    expect(train.documents + val.documents + emptyDocuments).toBe(450);
    expect((source.files as { path: string }[]).map(({ path }) => path)).toEqual([
      "again.jsonl",
      "once.jsonl",
    ]);
  });

  it("cuts a document of several megabytes so that its tokens are those of the whole", async () => {
    const long = documents(3000, 400).join(" ");
    expect(long.length).toBeGreaterThan(3 * 2 ** 20);
    writeFileSync(join(folder, "long.txt"), long);
    writeFileSync(join(folder, "long.json"), JSON.stringify([long]));
    const out = join(folder, "long");
    expect((await prepare(["long.txt"], out)).status).toBe(0);
    pythonFile(SCRIPT, "shards", folder, tokenizer, join(folder, "long.json"), "0.01");
    expect(tokens(out, "train").equals(expectedTokens("train"))).toBe(true);
    jsonLines(join(folder, "long.jsonl"), [long]);
    expect((await prepare(["long.jsonl"], join(folder, "long-lines"))).status).toBe(0);
    expect(contents(join(folder, "long-lines"))["train-00000.npy"]).toBe(
      contents(out)["train-00000.npy"],
    );
  });

  it.each([
    ["no.txt", null, 2, /no\.txt: there is no such file/],
    ["picture.png", "x", 2, /picture\.png: expected a \.txt, \.jsonl or \.parquet file/],
    [
      "bad.txt",
      Buffer.from("good<|endoftext|>b\xffd", "latin1"),
      1,
      /bad\.txt, document 2: is not valid UTF-8/,
    ],
    ["bad.jsonl", '{"text":"a"}\n{"text":\n', 1, /bad\.jsonl, line 2: is not valid JSON/],
    [
      "key.jsonl",
      '{"text":"a"}\n{"body":"a"}\n',
      1,
      /key\.jsonl, line 2: has no "text"; its keys are body/,
    ],
    ["list.jsonl", "[1]\n", 1, /list\.jsonl, line 1: expected a JSON object/],
    [
      "type.jsonl",
      '{"text":5}\n',
      1,
      /type\.jsonl, line 1: expected "text" to be text, got number/,
    ],
    [
      "utf.jsonl",
      Buffer.from('{"text":"\xff"}\n', "latin1"),
      1,
      /utf\.jsonl, line 1: is not valid UTF-8/,
    ],
    ["odd.txt", "a\u0001", 1, /odd\.txt, document 1: character .*U\+0001/],
    ["bad.parquet", "PAR1 no", 1, /bad\.parquet: is not a whole parquet file/],
    [
      "cut.jsonl.gz",
      Buffer.from("1f8b0800", "hex"),
      1,
      /cut\.jsonl\.gz: cannot be decompressed \(gzip\).*damaged or cut short/,
    ],
    [
      "cut.txt.zst",
      Buffer.from("28b52ffd", "hex"),
      1,
      /cut\.txt\.zst: cannot be decompressed \(zstd\).*damaged or cut short/,
    ],
    ["empty.txt", "", 1, /empty\.txt: there is no document with text in it/],
  ])("says what is wrong with %s", async (name, content, expected, message) => {
    if (content !== null) writeFileSync(join(folder, name), content);
    const { status, stderr } = await prepare([name], join(temporaryFolder(), "out"));
    expect(stderr).toMatch(message);
    expect(stderr).not.toContain("this was not expected");
    expect(status).toBe(expected);
  });

  it("names the row group of a damaged parquet file, and the columns where the text's is not there", async () => {
    const whole = readFileSync(join(folder, "snappy.parquet"));
    const damaged = Buffer.from(whole);
    // The pages of the text's column, which lie between the short ids and the random bytes.
    damaged.fill(0xff, 3000, 20000);
    writeFileSync(join(folder, "damaged.parquet"), damaged);
    const out = temporaryFolder();
    const first = await prepare(["damaged.parquet"], join(out, "a"));
    expect(first.stderr).toMatch(/damaged\.parquet, row group 1: cannot be decoded/);
    expect(first.status).toBe(1);
    const second = await prepare(["snappy.parquet"], join(out, "b"), "--text-column", "body");
    expect(second.stderr).toMatch(
      /has no column "body" of text; its columns are id, text, junk\. Choose one with --text-column/,
    );
    writeFileSync(join(folder, "short.parquet"), whole.subarray(0, whole.length - 5000));
    const third = await prepare(["short.parquet"], join(out, "c"));
    expect(third.stderr).toMatch(/short\.parquet: is not a whole parquet file/);
  });

  it("keeps what a folder holds unless told otherwise", async () => {
    const out = join(folder, "plain");
    const before = contents(out);
    const again = await prepare(["plain.jsonl"], out);
    expect([again.status, again.stderr]).toEqual([
      2,
      expect.stringMatching(/holds prepared text already\. Replace it with --overwrite/),
    ]);
    expect(contents(out)).toEqual(before);
    const foreign = await prepare(["plain.jsonl"], folder);
    expect([foreign.status, foreign.stderr]).toEqual([
      2,
      expect.stringMatching(/did not write, so nothing in it was touched/),
    ]);
    const finished = await prepare(
      ["plain.jsonl"],
      out,
      "--resume",
      "--validation",
      "0.1",
      "--shard-tokens",
      "100000",
    );
    expect(finished.status).toBe(0);
    expect(contents(out)).toEqual(before);
  });

  it.each([
    [["--validation", "1"], /--validation: expected a share from 0 to below 1, got 1/],
    [["--documents", "x"], /--documents: expected a whole number from 1, got NaN/],
    [["--shard-tokens", "0"], /--shard-tokens: expected a whole number from 1, got 0/],
    [["--revision", "main"], /--revision, --files: a choice in a dataset/],
    [["--resume", "--overwrite"], /expected one of them, got both/],
    [["--tokenizer", "missing.json"], /cannot load the tokenizer missing\.json/],
  ])("refuses %j", async (flags, message) => {
    const { status, stderr } = await prepare(
      ["plain.jsonl"],
      join(temporaryFolder(), "x"),
      ...flags,
    );
    expect(stderr).toMatch(message);
    expect(status).toBe(flags[0] === "--tokenizer" ? 1 : 2);
  });

  it("tells what it does as JSON lines", async () => {
    const { stdout } = await prepare(["plain.jsonl"], join(temporaryFolder(), "out"), "--json");
    const events = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { event: string });
    expect(events[0]).toMatchObject({ event: "start", files: 1, resumed: false });
    expect(events.at(-2)).toMatchObject({
      event: "progress",
      documents: 1499,
      share: 1,
      secondsLeft: 0,
    });
    expect(events.at(-1)).toMatchObject({ event: "end", dtype: "uint16", emptyDocuments: 1 });
  });
});
