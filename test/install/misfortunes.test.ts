import { spawnSync } from "node:child_process";
import { chmodSync, chownSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { libraryFile } from "../../lib/libtorch/platform.js";
import { packed } from "./packed.js";
import { User } from "./user.js";

let user: User;
let project: string;

beforeAll(async () => {
  user = new User();
  project = user.folder("project", {
    "package.json": '{ "private": true }',
    "text.txt": "To be, or not to be, that is the question.\n".repeat(400),
  });
  const tarballs = user.give(packed().all, "packed");
  await user.succeed("npm", ["install", "--offline", "--ignore-scripts", ...tarballs], {
    cwd: project,
  });
});

afterAll(() => {
  setMode(path.join(project, "node_modules"), 0o755, 0o644);
  user.remove();
});

/** Root owns node_modules then, and the user may only read it. */
function setMode(folder: string, folders: number, files: number): void {
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const full = path.join(entry.parentPath, entry.name);
    if (entry.isSymbolicLink()) continue;
    if (process.getuid?.() === 0) chownSync(full, 0, 0);
    const executable = path.basename(entry.parentPath) === "bin";
    chmodSync(full, entry.isDirectory() || executable ? folders : files);
  }
  chmodSync(folder, folders);
}

const train = (out: string) => [
  ...["--offline", "wavegpt-train", "--data", "text.txt", "--steps", "2", "--out", out],
];

describe("a whole install", () => {
  test("needs no network: a proxy that fails is never asked", async () => {
    const dead = "http://127.0.0.1:9";
    await user.succeed("npx", train("behind-proxy"), {
      cwd: project,
      env: { HTTPS_PROXY: dead, HTTP_PROXY: dead, ALL_PROXY: dead, npm_config_proxy: dead },
    });
  });

  test("runs from a node_modules that cannot be written", async () => {
    setMode(path.join(project, "node_modules"), 0o555, 0o444);
    await user.succeed("npx", train("read-only"), { cwd: project });
  });
});

describe("an older libtorch in the way", () => {
  test("named by the user: refused by the version it says", async () => {
    const old = user.folder("says-2.12/lib", { [libraryFile("torch_cpu")]: "" });
    writeFileSync(path.join(old, "..", "version.py"), "__version__ = '2.12.0+cpu'\n");
    const { status, stderr } = await user.run("npx", train("older"), {
      cwd: project,
      env: { WAVEGPT_LIBTORCH: path.dirname(old) },
    });
    expect(status).toBe(1);
    expect(stderr).toMatch(/libtorch 2\.13\.0 is needed, but 2\.12\.0 was found in .*says-2\.12/);
    expect(stderr).not.toMatch(/^\s+at /m);
  });

  test("named by the user, and silent about its version: refused by what the library itself says", async (context) => {
    const old = user.folder("is-2.12/lib");
    const source = user.folder("source", {
      "torch.c": `
        #include <stdint.h>
        __attribute__((visibility("default"))) uint64_t aoti_torch_abi_version(void) {
          return (2ull << 56) | (12ull << 48);
        }`,
      "c10.c": "int nothing;",
    });
    for (const [from, library] of [
      ["torch.c", "torch_cpu"],
      ["c10.c", "c10"],
    ] as const) {
      const to = path.join(old, libraryFile(library));
      const compiled = spawnSync("cc", ["-shared", "-fPIC", path.join(source, from), "-o", to]);
      if (compiled.error !== undefined) context.skip("no C compiler (cc) is here to make one with");
      expect(compiled.status).toBe(0);
    }
    const { status, stderr } = await user.run("npx", train("older"), {
      cwd: project,
      env: { WAVEGPT_LIBTORCH: path.dirname(old) },
    });
    expect(status).toBe(1);
    expect(stderr).toContain("libtorch 2.12.0 was found, 2.13.0 is needed");
    expect(stderr).not.toMatch(/^\s+at /m);
  });

  test("in LD_LIBRARY_PATH: not taken for any part of the right one", async (context) => {
    if (process.platform !== "linux") context.skip(`${process.platform} has no LD_LIBRARY_PATH`);
    const old = user.folder("earlier-on-the-path");
    const source = user.folder("empty", { "empty.c": "int nothing;" });
    // A libc10 without a single symbol of libtorch's: with it, nothing loads.
    const file = path.join(old, libraryFile("c10"));
    const flags = ["-shared", "-fPIC", `-Wl,-soname,${libraryFile("c10")}`];
    const compiled = spawnSync("cc", [...flags, path.join(source, "empty.c"), "-o", file]);
    if (compiled.error !== undefined) context.skip("no C compiler (cc) is here to make one with");
    expect(compiled.status).toBe(0);
    await user.succeed("npx", train("library-path"), {
      cwd: project,
      env: { LD_LIBRARY_PATH: old },
    });
  });
});
