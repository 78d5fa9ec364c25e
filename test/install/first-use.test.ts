// @module-tag network

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { LocalMirror } from "./local-mirror.js";
import { packed } from "./packed.js";
import { User } from "./user.js";

let user: User;
let project: string;
let cache: string;
const mirror = new LocalMirror();
let index: string;

beforeAll(async () => {
  index = await mirror.start();
  user = new User();
  project = user.folder("project", {
    "package.json": '{ "private": true }',
    "text.txt": "To be, or not to be, that is the question.\n".repeat(400),
  });
  cache = user.folder("cache");
  const { wavegpt, dependencies } = packed();
  const tarballs = user.give([wavegpt, ...dependencies], "packed");
  await user.succeed("npm", ["install", "--offline", "--omit=optional", ...tarballs], {
    cwd: project,
  });
});

afterAll(async () => {
  user?.remove();
  await mirror.stop();
});

const train = ["--offline", "wavegpt-train", "--data", "text.txt", "--steps", "2", "--out", "run"];
const fromMirror = (extra: NodeJS.ProcessEnv = {}) => ({
  cwd: project,
  env: { WAVEGPT_INDEX_URL: index, WAVEGPT_CACHE_DIR: cache, ...extra },
});

/** One paragraph for a person: no stack, no object printed. */
function expectWords(stderr: string): void {
  expect(stderr).not.toMatch(/^\s+at /m);
  expect(stderr).toContain("Other ways:");
}

describe("libtorch at first use, where npm left its package out", () => {
  test("not asked for with WAVEGPT_NO_DOWNLOAD=1: what was looked for where", async () => {
    const { status, stderr } = await user.run("npx", train, {
      ...fromMirror({ WAVEGPT_NO_DOWNLOAD: "1" }),
    });
    expect(status).toBe(1);
    expect(stderr).toMatch(/libtorch 2\.13\.0 was not found: not in WAVEGPT_LIBTORCH/);
    expect(mirror.passed).toBe(0);
  });

  test("a proxy that fails: its address, and what else can be done", async () => {
    const { status, stderr } = await user.run("npx", train, {
      cwd: project,
      env: { HTTPS_PROXY: "http://127.0.0.1:9", WAVEGPT_CACHE_DIR: cache },
    });
    expect(status).toBe(1);
    expect(stderr).toMatch(/proxy/);
    expect(stderr).toContain("127.0.0.1:9");
    expectWords(stderr);
  });

  test("files that may not grow as large as they must", async () => {
    const { status, stderr } = await user.run("npx", train, {
      ...fromMirror(),
      shell: "trap '' XFSZ; ulimit -f 20000;",
    });
    expect(status).toBe(1);
    expect(stderr).toMatch(/EFBIG|too large/);
    expectWords(stderr);
  });

  test("a disk that is too small: how much is needed, and how much is free", async (context) => {
    const small = user.folder("small");
    const mount = ["-t", "tmpfs", "-o", "size=100m,mode=777", "tmpfs", small];
    if (spawnSync("mount", mount).status !== 0)
      context.skip("a small disk can only be made by root, on Linux, where it may mount");
    try {
      const { status, stderr } = await user.run("npx", train, {
        ...fromMirror({ WAVEGPT_CACHE_DIR: small }),
      });
      expect(status).toBe(1);
      expect(stderr).toMatch(/it needs \d+ MB in .*, where \d+ MB are free/);
      expectWords(stderr);
    } finally {
      spawnSync("umount", [small]);
    }
  });

  test("a download with a wrong bit: refused by name, and nothing of it is taken", async () => {
    mirror.spoils = true;
    const { status, stderr } = await user.run("npx", train, fromMirror());
    mirror.spoils = false;
    expect(status).toBe(1);
    expect(stderr).toMatch(/torch\/lib\/\S+ of .*(expected SHA-256|invalid|incorrect)/);
    expectWords(stderr);
    expect(existsSync(path.join(project, "run"))).toBe(false);
  });

  test("and then it comes, without Python, and trains", async () => {
    const { stderr } = await user.succeed("npx", train, fromMirror());
    expect(stderr).toMatch(/fetching libtorch: \d+ MB of \d+ MB/);
    expect(existsSync(path.join(project, "run", "model.safetensors"))).toBe(true);
  });

  test("once it is there, no network is needed", async () => {
    const before = mirror.passed;
    const { output } = await user.succeed("npx", ["--offline", "wavegpt", "doctor"], fromMirror());
    expect(output).toContain("from the cache");
    expect(mirror.passed).toBe(before);
  });
});
