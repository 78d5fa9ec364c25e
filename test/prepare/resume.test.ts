import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { run, start, temporaryFolder } from "../cli/command.js";
import { pythonFile } from "../python.js";
import { contents, documents, jsonLines, tokenizerFile } from "./documents.js";

const folder = temporaryFolder();
let tokenizer = "";
let reference: Record<string, string> = {};

const flags = (out: string) => [
  ...["--tokenizer", tokenizer, "--out", out, "--validation", "0.1"],
  ...["--shard-tokens", "1000000", "--workers", "1"],
];
/** A file of each kind: what is gone on with lies in the middle of any of them. */
const SOURCES = ["1.jsonl", "2.parquet", "3.txt", "4.jsonl.zst"].map((name) => join(folder, name));

beforeAll(async () => {
  tokenizer = tokenizerFile(folder);
  const texts = documents(24_000, 300);
  const json = join(folder, "documents.json");
  writeFileSync(json, JSON.stringify(texts.slice(0, 8000)));
  // A row of several megabytes comes first: the disk is full, and some kills come, in its middle.
  jsonLines(SOURCES[0]!, [texts.slice(0, 4000).join(" "), ...texts.slice(8000, 16_000)]);
  const script = join(import.meta.dirname, "documents.py");
  pythonFile(script, "parquet", json, SOURCES[1]!, "snappy", "900", "text");
  // One long document after many short ones: it may be left in its middle.
  const [short, long] = [texts.slice(16_000, 20_000), texts.slice(20_000).join(" ")];
  writeFileSync(SOURCES[2]!, [...short, long].join("<|endoftext|>"));
  pythonFile(script, "jsonl", json, SOURCES[3]!);
  const out = join(folder, "reference");
  const { status } = await run(["prepare", ...SOURCES, ...flags(out)]);
  expect(status).toBe(0);
  reference = contents(out);
});

/** Where a preparation would go on. */
function savedPosition(out: string): string {
  const progress = join(out, "progress.json");
  if (!existsSync(progress)) return "";
  return JSON.stringify(JSON.parse(readFileSync(progress, "utf8")).position);
}

describe("a preparation that is cut off", () => {
  it("ends in the same bytes, wherever kill -9 meets it, and however often", async () => {
    const out = join(folder, "killed");
    const places = new Set<string>();
    let kills = 0;
    for (;;) {
      const running = start(["prepare", ...SOURCES, ...flags(out), "--resume"]);
      const kill = () => running.child.kill("SIGKILL");
      const begun = savedPosition(out);
      // As soon as something more is saved, and a while later; at the start, in between.
      const watch = setInterval(() => {
        if (savedPosition(out) === begun) return;
        clearInterval(watch);
        setTimeout(kill, (kills % 3) * 25);
      }, 2);
      const early = kills % 4 === 0 ? setTimeout(kill, 250 + 40 * kills) : undefined;
      const { status, signal, stderr } = await running.finished;
      clearInterval(watch);
      clearTimeout(early);
      if (status === 0) break;
      expect(signal, stderr).toBe("SIGKILL");
      kills++;
      places.add(savedPosition(out));
    }
    expect(kills).toBeGreaterThan(2);
    expect(places.size).toBeGreaterThan(1);
    const { status, stderr } = await run(["prepare", ...SOURCES, ...flags(out), "--resume"]);
    expect([status, stderr]).toEqual([0, ""]);
    expect(contents(out)).toEqual(reference);
  });

  it.each(["manifest", "tokenizer", "progress"])(
    "goes on where kill -9 met it while it wrote %s.json",
    async (name) => {
      const out = join(folder, `killed-${name}`);
      mkdirSync(out);
      writeFileSync(join(out, `.${name}.json.12345.tmp`), "{");
      const { status, stderr } = await run(["prepare", ...SOURCES, ...flags(out), "--resume"]);
      expect([status, stderr]).toEqual([0, ""]);
      expect(contents(out)).toEqual(reference);
    },
  );

  it("saves and says how to go on at Ctrl-C, and ends in the same bytes", async () => {
    const out = join(folder, "interrupted");
    const running = start(["prepare", ...SOURCES, ...flags(out)]);
    await running.until(/with 1 thread/);
    setTimeout(() => running.child.kill("SIGINT"), 300);
    const { status, stdout } = await running.finished;
    expect(status).toBe(130);
    expect(stdout).toContain("Go on with the same command and --resume");
    const refused = await run(["prepare", ...SOURCES, ...flags(out)]);
    expect([refused.status, refused.stderr]).toEqual([
      2,
      expect.stringContaining("is not finished. Go on with --resume"),
    ]);
    const other = await run(["prepare", ...SOURCES.slice(1), ...flags(out), "--resume"]);
    expect([other.status, other.stderr]).toEqual([
      2,
      expect.stringContaining("the files to be read are not the same"),
    ]);
    expect((await run(["prepare", ...SOURCES, ...flags(out), "--resume"])).status).toBe(0);
    expect(contents(out)).toEqual(reference);
  });

  it("says that the disk is full, and goes on when it no longer is", async () => {
    const out = join(folder, "full");
    // Files of more than 1,500 KiB may not be written: a shard has 2,000.
    const full = await run(["prepare", ...SOURCES, ...flags(out)], {
      shell: "trap '' XFSZ; ulimit -f 1500;",
    });
    expect(full.stderr).toMatch(
      /Cannot write .*train-00000\.npy: the file would be larger .*\(EFBIG\)/,
    );
    expect(full.status).toBe(1);
    expect((await run(["prepare", ...SOURCES, ...flags(out), "--resume"])).status).toBe(0);
    expect(contents(out)).toEqual(reference);
  });

  it("keeps what came before a document that cannot be read", async () => {
    const out = join(folder, "mended");
    const path = join(folder, "mended.jsonl");
    const lines = readFileSync(SOURCES[0]!, "utf8");
    writeFileSync(path, `${lines}{"text":1}\n`);
    const failed = await run(["prepare", path, ...flags(out)]);
    expect(failed.stderr).toMatch(
      /mended\.jsonl, line 8002: expected "text" to be text, got number/,
    );
    const { position } = JSON.parse(readFileSync(join(out, "progress.json"), "utf8")) as {
      position: { row: number };
    };
    expect(position.row).toBe(8001);
  });
});

describe("memory", () => {
  it("stays bounded, however large a file, a document or a line of text is", async () => {
    const path = join(folder, "large.txt");
    const piece = Buffer.from(`${documents(4000, 300).join(" ")} `);
    const fd = openSync(path, "w");
    for (let written = 0; written < 300e6; written += piece.length) writeSync(fd, piece);
    closeSync(fd);
    // One document of 300 MB, which no string of Node's could hold beside what a heap of 96 MB does.
    const out = join(folder, "large");
    const running = start(
      ["prepare", path, "--tokenizer", tokenizer, "--out", out, "--workers", "1", "--json"],
      { env: { NODE_OPTIONS: "--max-old-space-size=96" } },
    );
    let most = 0;
    const watch = setInterval(() => {
      const file = `/proc/${running.child.pid}/status`;
      if (existsSync(file)) {
        most = Math.max(
          most,
          Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(file, "utf8"))?.[1] ?? 0),
        );
      }
    }, 50);
    const { status, stdout, stderr } = await running.finished;
    clearInterval(watch);
    expect(status, stderr).toBe(0);
    expect(stdout).toContain('"event":"end"');
    expect(most).toBeGreaterThan(50_000);
    expect(most).toBeLessThan(400_000);
  });
});
