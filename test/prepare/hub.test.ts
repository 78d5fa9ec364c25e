import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import type { Manifest } from "../../src/data/manifest.js";
import { type CommandOptions, run, start, temporaryFolder } from "../cli/command.js";
import { pythonFile } from "../python.js";
import { contents, documents, tokenizerFile } from "./documents.js";
import { type HubRequest, TestHub } from "./hub-server.js";

const SCRIPT = join(import.meta.dirname, "documents.py");
const folder = temporaryFolder();
const texts = documents(6000);
/** The split's two files, and the tokens they hold. */
const parquet: Buffer[] = [];
let tokenizer = "";
let reference: Record<string, string> = {};

const flags = (out: string) => ["--tokenizer", tokenizer, "--out", out, "--validation", "0.1"];
const environment = (hub: TestHub, more: NodeJS.ProcessEnv = {}): CommandOptions => ({
  env: { HF_ENDPOINT: hub.address, HF_TOKEN: "", ...more },
  cwd: folder,
});

function files() {
  return {
    "README.md": Buffer.from("# Some text"),
    "data/train-00000-of-00002.parquet": parquet[0]!,
    "data/train-00001-of-00002.parquet": parquet[1]!,
    "data/validation-00000-of-00001.parquet": parquet[1]!,
  };
}

const tokenFiles = (out: string) =>
  Object.fromEntries(Object.entries(contents(out)).filter(([name]) => name.endsWith(".npy")));
const manifestOf = (out: string) =>
  JSON.parse(readFileSync(join(out, "manifest.json"), "utf8")) as Manifest;

/** Calls `answer` the first `times` a file's bytes are asked for. */
function onFiles<T>(times: number, answer: (request: HubRequest) => T | null) {
  let left = times;
  return (request: HubRequest): T | null =>
    request.path.startsWith("/store/") && left-- > 0 ? answer(request) : null;
}

beforeAll(async () => {
  tokenizer = tokenizerFile(folder);
  for (const [index, part] of [texts.slice(0, 3000), texts.slice(3000)].entries()) {
    const json = join(folder, `${index}.json`);
    const path = join(folder, `${index}.parquet`);
    writeFileSync(json, JSON.stringify(part));
    pythonFile(SCRIPT, "parquet", json, path, "zstd", "500", "text");
    parquet.push(readFileSync(path));
  }
  const out = join(folder, "reference");
  const local = await run(["prepare", "0.parquet", "1.parquet", ...flags(out)], { cwd: folder });
  expect(local.stderr).toBe("");
  reference = tokenFiles(out);
});

describe("wavegpt prepare from a hub", () => {
  it("reads the split train of a dataset, pins its revision, and sends the token to the hub alone", async () => {
    await using hub = await TestHub.start();
    hub.add("some/text", files());
    hub.token = "hf_secret";
    const out = join(folder, "whole");
    const { status, stderr } = await run(
      ["prepare", "some/text", ...flags(out)],
      environment(hub, { HF_TOKEN: "hf_secret" }),
    );
    expect([status, stderr]).toEqual([0, ""]);
    expect(tokenFiles(out)).toEqual(reference);
    const { source } = manifestOf(out);
    expect(source).toMatchObject({
      kind: "hub",
      dataset: "some/text",
      revision: "main",
      commit: hub.commit("some/text"),
      files: [
        { path: "data/train-00000-of-00002.parquet" },
        { path: "data/train-00001-of-00002.parquet" },
      ],
    });
    const stored = hub.requests.filter(({ path }) => path.startsWith("/store/"));
    expect(stored.length).toBeGreaterThan(3);
    expect(stored.every(({ authorization }) => authorization === undefined)).toBe(true);
    // The tree comes in pages.
    expect(hub.requests.filter(({ path }) => path.includes("/tree/")).length).toBe(2);
  });

  it("reads only the row groups and the column that are needed", async () => {
    await using hub = await TestHub.start();
    const json = join(folder, "some.json");
    writeFileSync(json, JSON.stringify(texts.slice(0, 3000)));
    pythonFile(SCRIPT, "parquet", json, join(folder, "junk.parquet"), "snappy", "500", "junk");
    const content = readFileSync(join(folder, "junk.parquet"));
    hub.add("some/junk", { "train.parquet": content });
    const out = join(folder, "part");
    const { status, stderr } = await run(
      ["prepare", "some/junk", ...flags(out), "--documents", "700"],
      environment(hub),
    );
    expect([status, stderr]).toEqual([0, ""]);
    const { train, val, emptyDocuments } = manifestOf(out);
    expect(train.documents + val.documents + emptyDocuments).toBe(700);
    const sent = hub.requests.reduce((sum, request) => sum + request.sent, 0);
    expect(content.length).toBeGreaterThan(6e6);
    // The footer's half a megabyte, which the reader asks for at once, and two of six groups of a tenth of the columns.
    expect(sent).toBeLessThan(1.2e6);
    const local = join(folder, "part-local");
    await run(["prepare", "junk.parquet", ...flags(local), "--documents", "700"], { cwd: folder });
    expect(tokenFiles(out)).toEqual(tokenFiles(local));
  });

  it.each([
    [
      "the server is busy (429, Retry-After: 1)",
      { status: 429, headers: { "retry-after": "1" } },
      2,
    ],
    ["the server is unwell (503)", { status: 503 }, 3],
    ["a signature has run out (403)", { status: 403 }, 1],
    ["a transfer is cut after 100 bytes", { cutAfter: 100 }, 3],
    ["a transfer is cut in its middle", { cutAfter: 300_000 }, 2],
  ])("goes on where %s", async (_, fault, times) => {
    await using hub = await TestHub.start();
    hub.add("some/text", files());
    hub.fault = onFiles(times, () => fault);
    const out = join(temporaryFolder(), "out");
    const began = performance.now();
    const { status, stderr } = await run(["prepare", "some/text", ...flags(out)], environment(hub));
    expect([status, stderr]).toEqual([0, ""]);
    expect(tokenFiles(out)).toEqual(reference);
    if ("headers" in fault) expect(performance.now() - began).toBeGreaterThan(1900);
    // What had come before a cut is not asked for again.
    const sent = hub.requests.reduce((sum, request) => sum + request.sent, 0);
    expect(sent).toBeLessThan(1.9 * (parquet[0]!.length + parquet[1]!.length) + 2.2e6);
  });

  it("asks the hub patiently too, and gives up after a while with the way on", async () => {
    await using hub = await TestHub.start();
    hub.add("some/text", files());
    let left = 2;
    hub.fault = ({ path }) =>
      path.startsWith("/api/") && left-- > 0
        ? { status: 503, headers: { "retry-after": "0" } }
        : null;
    const out = join(folder, "patient");
    expect((await run(["prepare", "some/text", ...flags(out)], environment(hub))).status).toBe(0);

    hub.fault = ({ path }) =>
      path.startsWith("/store/") ? { status: 503, headers: { "retry-after": "0" } } : null;
    const tired = join(folder, "tired");
    const failed = await run(["prepare", "some/text", ...flags(tired)], environment(hub));
    expect(failed.status).toBe(1);
    expect(failed.stderr).toMatch(
      /could not be read in 6 tries: it answered HTTP 503.*HF_ENDPOINT names a mirror; --resume goes on later/,
    );
    hub.fault = () => null;
    const resumed = await run(
      ["prepare", "some/text", ...flags(tired), "--resume"],
      environment(hub),
    );
    expect([resumed.status, resumed.stderr]).toEqual([0, ""]);
    expect(tokenFiles(tired)).toEqual(reference);
  });

  it("goes on in the same bytes after kill -9 in the middle of a file", async () => {
    await using hub = await TestHub.start();
    hub.add("some/text", files());
    hub.delay = 60;
    const out = join(folder, "killed");
    const running = start(
      ["prepare", "some/text", ...flags(out), "--workers", "1", "--json"],
      environment(hub),
    );
    await running.until(/"documents":[1-9]/);
    running.child.kill("SIGKILL");
    await running.finished;
    hub.delay = 0;
    const { status, stderr } = await run(
      ["prepare", "some/text", ...flags(out), "--workers", "1", "--resume"],
      environment(hub),
    );
    expect([status, stderr]).toEqual([0, ""]);
    expect(tokenFiles(out)).toEqual(reference);
  });

  it("keeps nothing of a file that is not what its checksum says, and reads it anew", async () => {
    await using hub = await TestHub.start();
    const [first, second] = [parquet[0]!, Buffer.from(parquet[1]!)];
    // A byte of the file that no reader of its rows looks at: its creator's name in the footer.
    second[second.lastIndexOf("parquet-cpp")]! ^= 1;
    const { createHash } = await import("node:crypto");
    const sha256 = createHash("sha256").update(parquet[1]!).digest("hex");
    hub.add("some/text", {
      "train-0.parquet": first,
      "train-1.parquet": { content: second, sha256 },
    });
    const out = join(folder, "checksum");
    const failed = await run(["prepare", "some/text", ...flags(out)], environment(hub));
    expect(failed.stderr).toMatch(
      new RegExp(
        `train-1\\.parquet: expected SHA-256 ${sha256}, got [0-9a-f]{64}\\. Nothing of this file was kept`,
      ),
    );
    expect(failed.status).toBe(1);
    hub.add("some/text", { "train-0.parquet": first, "train-1.parquet": parquet[1]! });
    const resumed = await run(
      ["prepare", "some/text", ...flags(out), "--resume"],
      environment(hub),
    );
    expect([resumed.status, resumed.stderr]).toEqual([0, ""]);
    expect(tokenFiles(out)).toEqual(reference);
  });

  it("streams JSON lines, and compares their checksum too", async () => {
    await using hub = await TestHub.start();
    pythonFile(SCRIPT, "jsonl", join(folder, "0.json"), join(folder, "0.jsonl.gz"));
    const content = readFileSync(join(folder, "0.jsonl.gz"));
    hub.add("some/lines", { "train.jsonl.gz": content });
    hub.fault = onFiles(2, () => ({ cutAfter: 70_000 }));
    const out = join(folder, "lines");
    const { status, stderr } = await run(
      ["prepare", "some/lines", ...flags(out)],
      environment(hub),
    );
    expect([status, stderr]).toEqual([0, ""]);
    const local = join(folder, "lines-local");
    await run(["prepare", "0.parquet", ...flags(local)], { cwd: folder });
    expect(tokenFiles(out)).toEqual(tokenFiles(local));
    hub.add("some/lines", { "train.jsonl.gz": { content, sha256: "0".repeat(64) } });
    const wrong = await run(
      ["prepare", "some/lines", ...flags(join(folder, "lines-wrong"))],
      environment(hub),
    );
    expect([wrong.status, wrong.stderr]).toEqual([
      1,
      expect.stringMatching(/expected SHA-256 0{64}, got/),
    ]);
  });

  it("says what a token lacks, and what is not there", async () => {
    await using hub = await TestHub.start();
    hub.add("some/text", files());
    hub.token = "hf_new";
    const out = join(folder, "refused");
    const none = await run(["prepare", "some/text", ...flags(out)], environment(hub));
    expect([none.status, none.stderr]).toEqual([
      1,
      expect.stringMatching(
        /HTTP 401 \(Invalid credentials.*set HF_TOKEN to a token that may read it/,
      ),
    ]);
    const expired = await run(
      ["prepare", "some/text", ...flags(out)],
      environment(hub, { HF_TOKEN: "hf_old" }),
    );
    expect([expired.status, expired.stderr]).toEqual([
      1,
      expect.stringMatching(/HTTP 401.*The token in HF_TOKEN is not valid, has expired/),
    ]);
    expect(expired.stderr).not.toContain("hf_old");
    hub.token = null;
    const missing = await run(["prepare", "no/such", ...flags(out)], environment(hub));
    expect([missing.status, missing.stderr]).toEqual([
      1,
      expect.stringMatching(/no\/such.*HTTP 404/),
    ]);
    const revision = await run(
      ["prepare", "some/text", "--revision", "v9", ...flags(out)],
      environment(hub),
    );
    expect([revision.status, revision.stderr]).toEqual([
      1,
      expect.stringMatching(/revision\/v9.*HTTP 404/),
    ]);
    hub.add("some/many", { "en/train.parquet": parquet[0]!, "de/train.parquet": parquet[1]! });
    const many = await run(["prepare", "some/many", ...flags(out)], environment(hub));
    expect([many.status, many.stderr]).toEqual([
      2,
      expect.stringMatching(/lie in several folders \(en\/, de\/\); choose with --files GLOB/),
    ]);
    const chosen = await run(
      ["prepare", "some/many", "--files", "de/*", ...flags(out)],
      environment(hub),
    );
    expect([chosen.status, chosen.stderr]).toEqual([0, ""]);
    await using nowhere = await TestHub.start();
    const address = nowhere.address;
    await nowhere[Symbol.asyncDispose]();
    const dead = await run(["prepare", "some/text", ...flags(join(folder, "dead"))], {
      env: { HF_ENDPOINT: address },
    });
    expect([dead.status, dead.stderr]).toEqual([
      1,
      expect.stringMatching(/could not be read in 6 tries.*ECONNREFUSED/),
    ]);
  });

  it("takes openwebtext by its name, from the hub's parquet copy where the dataset has none", async () => {
    await using hub = await TestHub.start();
    hub.add("Skylion007/openwebtext", {
      "openwebtext.py": Buffer.from("script"),
      "subsets/01.tar": Buffer.from("tar"),
    });
    hub.add(
      "Skylion007/openwebtext",
      {
        "plain_text/train/0000.parquet": parquet[0]!,
        "plain_text/train/0001.parquet": parquet[1]!,
      },
      "refs/convert/parquet",
    );
    const { status, stderr } = await run(
      ["prepare", "openwebtext", "--tokenizer", tokenizer, "--validation", "0.1"],
      environment(hub, { WAVEGPT_DATA_DIR: "" }),
    );
    expect([status, stderr]).toEqual([0, ""]);
    const out = join(folder, "data", "openwebtext");
    expect(tokenFiles(out)).toEqual(reference);
    expect(manifestOf(out).source).toMatchObject({
      dataset: "Skylion007/openwebtext",
      revision: "refs/convert/parquet",
    });
  });
});
