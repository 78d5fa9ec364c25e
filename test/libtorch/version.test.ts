import { mkdtempSync, rmSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { cacheDirectory, LIBTORCH_ABI, LIBTORCH_VERSION } from "../../lib/libtorch/index.js";
import { readLibtorchBuild } from "../../lib/libtorch/version.js";
import { packageRoot } from "../../lib/package-root.js";
import { writeFiles } from "./stub.js";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "wavegpt-version-"));
});

afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

test("the ABI number holds the version in its upper bytes", () => {
  const parts = [56n, 48n, 40n].map((shift) => (LIBTORCH_ABI >> shift) & 255n);
  expect(parts.join(".")).toBe(LIBTORCH_VERSION);
  expect(LIBTORCH_ABI & ((1n << 40n) - 1n)).toBe(0n);
});

describe("readLibtorchBuild", () => {
  test("reads a wheel's version.py", () => {
    writeFiles(folder, { "version.py": "x = 1\n__version__ = '2.12.1+cu130'\ndebug = False\n" });
    expect(readLibtorchBuild(folder)).toEqual({ version: "2.12.1", build: "cu130" });
  });

  test("reads the build-version of PyTorch's archives", () => {
    writeFiles(folder, { "build-version": "2.13.0+cpu\n" });
    expect(readLibtorchBuild(folder)).toEqual({ version: "2.13.0", build: "cpu" });
  });

  test("reads the headers", () => {
    const header =
      "#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR 13\n#define TORCH_VERSION_PATCH 4\n";
    writeFiles(folder, { "include/torch/headeronly/version.h": header });
    expect(readLibtorchBuild(folder)).toEqual({ version: "2.13.4", build: null });
  });

  test("knows nothing of an empty folder", () => {
    expect(readLibtorchBuild(folder)).toBeNull();
  });
});

describe("cacheDirectory", () => {
  test("WAVEGPT_CACHE_DIR, then XDG_CACHE_HOME, then the home folder", () => {
    vi.stubEnv("XDG_CACHE_HOME", folder);
    vi.stubEnv("WAVEGPT_CACHE_DIR", path.join(folder, "mine"));
    expect(cacheDirectory()).toBe(path.join(folder, "mine"));
    vi.stubEnv("WAVEGPT_CACHE_DIR", "");
    expect(cacheDirectory()).toBe(path.join(folder, "wavegpt"));
    vi.stubEnv("XDG_CACHE_HOME", "relative/paths/are/invalid");
    expect(cacheDirectory().startsWith(homedir())).toBe(true);
  });
});

test("packageRoot is the folder of package.json", () => {
  expect(packageRoot()).toBe(path.resolve(import.meta.dirname, "..", ".."));
});
