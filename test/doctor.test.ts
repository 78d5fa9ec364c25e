import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type Check, doctor, examine } from "../src/doctor.js";
import { makeLibtorch, writeFiles } from "./libtorch/stub.js";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "wavegpt-doctor-"));
});

afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

function find(checks: readonly Check[], name: string): Check {
  const check = checks.find((candidate) => candidate.name === name);
  if (!check) throw new Error(`no check ${name} among ${checks.map((one) => one.name).join(", ")}`);
  return check;
}

async function run(json = false): Promise<{ status: number; text: string }> {
  const pieces: string[] = [];
  const status = await doctor({ json, write: (piece) => void pieces.push(piece) });
  return { status, text: pieces.join("") };
}

describe("on a machine where all is well", () => {
  test("every check is there, the computation ran, and the status is 0", async () => {
    const { ok, checks } = await examine();
    expect(checks.filter((check) => check.status === "problem")).toEqual([]);
    expect(ok).toBe(true);
    expect(checks.map((check) => check.name)).toEqual([
      "Node",
      "Platform",
      "Processor",
      "Addon",
      "libtorch",
      "Python",
      "Cache",
      "Computing",
      "GPU",
      "Text",
    ]);
    expect(find(checks, "Node").detail).toBe(process.version);
    expect(find(checks, "libtorch").detail).toMatch(/^2\.13\.0.* from /);
    expect(find(checks, "Computing")).toMatchObject({
      status: "ok",
      detail: expect.stringMatching(/^\d+ threads, vectors: /),
    });
    expect(find(checks, "Addon").detail).toMatch(/wavegpt\.node$/);

    const { status, text } = await run();
    expect(status).toBe(0);
    for (const check of checks) expect(text).toContain(check.name);
    expect(text).not.toContain("PROBLEM");
  });

  test("--json prints one object with the same findings", async () => {
    const { status, text } = await run(true);
    expect(status).toBe(0);
    expect(JSON.parse(text)).toMatchObject({
      ok: true,
      checks: expect.arrayContaining([
        expect.objectContaining({ name: "Computing", status: "ok" }),
      ]),
    });
  });

  test("a text in WAVEGPT_DATA_DIR is named, another one than Shakespeare's with a note", async () => {
    writeFiles(folder, { "tinyshakespeare.txt": "Call me Ishmael." });
    vi.stubEnv("WAVEGPT_DATA_DIR", folder);
    const check = find((await examine()).checks, "Text");
    expect(check).toMatchObject({
      status: "note",
      detail: expect.stringContaining("SHA-256 differs"),
    });
  });
});

test("neither libtorch nor Python is here yet: from where and how it comes", async () => {
  for (const name of ["WAVEGPT_LIBTORCH", "LIBTORCH", "WAVEGPT_PYTHON", "WAVEGPT_NO_DOWNLOAD"])
    vi.stubEnv(name, undefined);
  vi.stubEnv("WAVEGPT_CACHE_DIR", folder);
  vi.stubEnv("WAVEGPT_INDEX_URL", "https://me:secret@mirror.example/simple/");
  vi.stubEnv("PATH", path.join(folder, "empty"));
  const { ok, checks } = await examine();
  expect(ok).toBe(true);
  expect(find(checks, "libtorch")).toMatchObject({
    status: "note",
    detail: expect.stringMatching(
      /not installed. It is fetched at first use, or by npx wavegpt install cpu, from https:\/\/mirror\.example\/simple/,
    ),
  });
  expect(find(checks, "Python")).toMatchObject({
    status: "note",
    remedy: expect.stringContaining("python3-pip"),
  });
});

test("what a bug report needs: versions, system, addon, variables, and no passwords", async () => {
  vi.stubEnv("WAVEGPT_INDEX_URL", "https://me:secret@mirror.example/simple/");
  vi.stubEnv("HTTPS_PROXY", "http://me:secret@proxy.example:3128");
  const { machine } = await examine();
  expect(machine.wavegpt).toMatch(/^\d+\.\d+\.\d+, a clone in /);
  expect(machine.Node).toMatch(/^v\d+\.\d+\.\d+ for \w+-\w+ \(.*\), npm \d+\.\d+\.\d+$/);
  expect(machine.Addon).toMatch(/^built here, .*wavegpt\.node\)$/);
  expect(machine.Variables).toContain("WAVEGPT_INDEX_URL=https://***@mirror.example/simple/");
  expect(machine.Variables).toContain("HTTPS_PROXY=http://***@proxy.example:3128");
  const { text } = await run();
  for (const line of Object.values(machine)) expect(text).toContain(line.split("\n")[0]);
  expect(text).not.toContain("secret");
});

describe("what is wrong is said, with the status 1", () => {
  test("a WAVEGPT_LIBTORCH that leads nowhere", async () => {
    vi.stubEnv("WAVEGPT_LIBTORCH", path.join(folder, "nowhere"));
    const { status, text } = await run();
    expect(status).toBe(1);
    expect(text).toMatch(/PROBLEM libtorch +WAVEGPT_LIBTORCH is set to .*nowhere/);
    expect(text).toMatch(/note +Computing +not tried/);
    expect(text).toContain("1 problem: mend it");
  });

  test("a libtorch of another version", async () => {
    vi.stubEnv("WAVEGPT_LIBTORCH", makeLibtorch(folder, { version: "2.12.0+cpu" }));
    const { ok, checks } = await examine();
    expect(ok).toBe(false);
    expect(find(checks, "libtorch").detail).toMatch(/2\.13\.0 is needed, but 2\.12\.0 was found/);
  });

  test("libraries that are none, though the version fits", async () => {
    vi.stubEnv("WAVEGPT_LIBTORCH", makeLibtorch(folder));
    vi.resetModules();
    const fresh = await import("../src/doctor.js");
    const { ok, checks } = await fresh.examine();
    expect(ok).toBe(false);
    expect(find(checks, "libtorch").status).toBe("ok");
    expect(find(checks, "Loading")).toMatchObject({
      status: "problem",
      detail: expect.stringContaining(folder),
    });
  });

  test("no libtorch where nothing is fetched", async () => {
    for (const name of ["WAVEGPT_LIBTORCH", "LIBTORCH"]) vi.stubEnv(name, undefined);
    vi.stubEnv("WAVEGPT_CACHE_DIR", folder);
    vi.stubEnv("WAVEGPT_NO_DOWNLOAD", "1");
    const { ok, checks } = await examine();
    expect(ok).toBe(false);
    expect(find(checks, "libtorch")).toMatchObject({
      status: "problem",
      remedy: expect.stringMatching(/Unset WAVEGPT_NO_DOWNLOAD, install @wavegpt\/libtorch-/),
    });
  });

  test("a folder of texts that does not exist", async () => {
    vi.stubEnv("WAVEGPT_DATA_DIR", path.join(folder, "gone"));
    const { ok, checks } = await examine();
    expect(ok).toBe(false);
    expect(find(checks, "Text")).toMatchObject({
      status: "problem",
      detail: expect.stringContaining("gone"),
    });
  });
});
