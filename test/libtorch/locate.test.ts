import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { locateLibtorch, platformPackage } from "../../lib/libtorch/index.js";
import { libraryPath } from "../../lib/libtorch/platform.js";
import { makeLibtorch, writeFiles } from "./stub.js";

let folder: string;

vi.mock("../../lib/package-root.js", () => ({ packageRoot: () => path.join(folder, "package") }));

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "wavegpt-locate-"));
  writeFiles(folder, { "package/package.json": '{"name":"wavegpt"}' });
  for (const name of [
    "WAVEGPT_LIBTORCH",
    "LIBTORCH",
    "WAVEGPT_PYTHON",
    "WAVEGPT_PYTHON_TORCH",
    "WAVEGPT_ANY_TORCH",
    "WAVEGPT_CUDA",
    "CUDA_VISIBLE_DEVICES",
    "LD_LIBRARY_PATH",
  ]) {
    vi.stubEnv(name, undefined);
  }
  vi.stubEnv("WAVEGPT_CACHE_DIR", path.join(folder, "cache"));
  vi.stubEnv("WAVEGPT_NO_DOWNLOAD", "1");
});

afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

const at = (name: string) => path.join(folder, name);

function fillCache(version = "2.13.0+cpu"): string {
  const root = at(`cache/libtorch-2.13.0-${process.platform}-${process.arch}`);
  makeLibtorch(path.join(root, "torch"), { version });
  writeFileSync(path.join(root, "wavegpt-libtorch.json"), "{}");
  return path.join(root, "torch");
}

function installPlatformPackage(options?: Parameters<typeof makeLibtorch>[1]): string {
  const directory = at(`package/node_modules/${platformPackage()}`);
  writeFiles(directory, { "package.json": '{"version":"2.13.0"}' });
  return makeLibtorch(directory, options);
}

/** A program that answers as Python does when asked about itself. */
function fakePython(answer: Record<string, unknown>): string {
  const file = at("bin/python3");
  const machine = process.arch === "x64" ? "x86_64" : "aarch64";
  const all = {
    executable: file,
    version: [3, 12],
    pip: null,
    torch: null,
    machine,
    wide: true,
    ...answer,
  };
  mkdirSync(at("bin"), { recursive: true });
  writeFileSync(file, `#!/bin/sh\necho '${JSON.stringify(all)}'\n`, { mode: 0o755 });
  return file;
}

describe("the order of the search", () => {
  test("each place comes before the next", () => {
    const cached = fillCache();
    expect(locateLibtorch()).toMatchObject({ directory: cached, origin: "the cache" });

    const installed = installPlatformPackage();
    expect(locateLibtorch()).toMatchObject({ directory: installed, origin: platformPackage() });

    vi.stubEnv(
      "WAVEGPT_PYTHON",
      fakePython({ torch: path.join(makeLibtorch(at("python/torch")), "__init__.py") }),
    );
    vi.stubEnv("WAVEGPT_PYTHON_TORCH", "1");
    expect(locateLibtorch()).toMatchObject({ directory: at("python/torch") });
    expect(locateLibtorch().origin).toContain("python3");

    vi.stubEnv("LIBTORCH", makeLibtorch(at("second")));
    expect(locateLibtorch()).toMatchObject({ directory: at("second"), origin: "LIBTORCH" });

    vi.stubEnv("WAVEGPT_LIBTORCH", makeLibtorch(at("first")));
    expect(locateLibtorch()).toMatchObject({ directory: at("first"), origin: "WAVEGPT_LIBTORCH" });
  });

  test("a platform package without headers serves to run, not to build", () => {
    const installed = installPlatformPackage({ headers: false });
    const cached = fillCache();
    expect(locateLibtorch().directory).toBe(installed);
    expect(locateLibtorch({ headers: true }).directory).toBe(cached);
  });

  test("a folder in the cache that was not finished is not taken", () => {
    const cached = fillCache();
    rmSync(path.join(path.dirname(cached), "wavegpt-libtorch.json"));
    expect(() => locateLibtorch()).toThrow(/not in the cache/);
  });
});

describe("what is found", () => {
  test("the library by absolute path, with version and build", () => {
    vi.stubEnv("WAVEGPT_LIBTORCH", path.relative(process.cwd(), makeLibtorch(at("libtorch"))));
    expect(locateLibtorch()).toEqual({
      directory: at("libtorch"),
      origin: "WAVEGPT_LIBTORCH",
      libraries: [libraryPath(at("libtorch"), "torch_cpu")],
      version: "2.13.0",
      build: "cpu",
      cuda: false,
    });
  });

  test("a site-packages folder stands for the torch in it", () => {
    makeLibtorch(at("site-packages/torch"));
    vi.stubEnv("WAVEGPT_LIBTORCH", at("site-packages"));
    expect(locateLibtorch().directory).toBe(at("site-packages/torch"));
  });

  test.skipIf(process.platform !== "linux")(
    "torch_cuda only where a driver is and nothing hides it",
    () => {
      const directory = makeLibtorch(at("cuda"), { version: "2.13.0+cu130", cuda: true });
      vi.stubEnv("WAVEGPT_LIBTORCH", directory);
      writeFiles(folder, { "driver/libcuda.so.1": "" });
      vi.stubEnv("LD_LIBRARY_PATH", at("driver"));
      const both = [libraryPath(directory, "torch_cpu"), libraryPath(directory, "torch_cuda")];
      expect(locateLibtorch()).toMatchObject({ libraries: both, cuda: true });
      for (const [name, value] of [
        ["WAVEGPT_CUDA", "0"],
        ["CUDA_VISIBLE_DEVICES", ""],
        ["CUDA_VISIBLE_DEVICES", "-1"],
      ] as const) {
        vi.stubEnv(name, value);
        expect(locateLibtorch(), `${name}=${value}`).toMatchObject({
          libraries: both.slice(0, 1),
          cuda: false,
        });
        vi.stubEnv(name, undefined);
      }
    },
  );
});

describe("what the user names is never passed over", () => {
  test.each(["WAVEGPT_LIBTORCH", "LIBTORCH"])("%s without libtorch in it", (variable) => {
    fillCache();
    vi.stubEnv(variable, at("nowhere"));
    const error = expect.objectContaining({
      code: "ERR_WAVEGPT_LIBTORCH_NOT_FOUND",
      message: expect.stringMatching(
        new RegExp(`^${variable} is set to .*nowhere.*torch_cpu.*2\\.13\\.0`),
      ),
    });
    expect(() => locateLibtorch()).toThrow(error);
  });

  test.each(["2.12.1+cpu", "2.14.0+cu130"])("version %s", (version) => {
    fillCache();
    vi.stubEnv("WAVEGPT_LIBTORCH", makeLibtorch(at("other"), { version }));
    const error = expect.objectContaining({
      code: "ERR_WAVEGPT_LIBTORCH_VERSION",
      message: expect.stringContaining(
        `libtorch 2.13.0 is needed, but ${version.slice(0, 6)} was found in ${at("other")}`,
      ),
    });
    expect(() => locateLibtorch()).toThrow(error);
    vi.stubEnv("WAVEGPT_ANY_TORCH", "1");
    expect(locateLibtorch().version).toBe(version.slice(0, 6));
  });

  test("a libtorch without headers, when one to build against is wanted", () => {
    vi.stubEnv("WAVEGPT_LIBTORCH", makeLibtorch(at("libtorch"), { headers: false }));
    expect(locateLibtorch().directory).toBe(at("libtorch"));
    expect(() => locateLibtorch({ headers: true })).toThrow(/no include\/ATen\/ATen\.h/);
  });

  test("a Python without torch, and no Python", () => {
    fillCache();
    vi.stubEnv("WAVEGPT_PYTHON_TORCH", "1");
    vi.stubEnv("WAVEGPT_PYTHON", fakePython({}));
    expect(() => locateLibtorch()).toThrow(
      /asks for the torch of the active Python, but .*python3 has none.*pip install torch==2\.13\.0/,
    );
    vi.stubEnv("WAVEGPT_PYTHON", at("no-python"));
    expect(() => locateLibtorch()).toThrow(/no Python 3 was found/);
  });

  test("a Python for another processor is not the active one", () => {
    vi.stubEnv("WAVEGPT_PYTHON_TORCH", "1");
    vi.stubEnv(
      "WAVEGPT_PYTHON",
      fakePython({
        machine: "sparc64",
        torch: path.join(makeLibtorch(at("t/torch")), "__init__.py"),
      }),
    );
    expect(() => locateLibtorch()).toThrow(/no Python 3 was found/);
  });

  test("an installed platform package without its library", () => {
    rmSync(path.join(installPlatformPackage(), "lib"), { recursive: true });
    expect(() => locateLibtorch()).toThrow(
      new RegExp(`${platformPackage()} 2.13.0 is installed without`),
    );
  });
});

test("found nowhere, the error says where it was looked for", () => {
  expect(() => locateLibtorch()).toThrow(
    expect.objectContaining({
      code: "ERR_WAVEGPT_LIBTORCH_NOT_FOUND",
      message: expect.stringMatching(
        /WAVEGPT_LIBTORCH.*@wavegpt\/libtorch-.*cache.*WAVEGPT_NO_DOWNLOAD=1/,
      ),
    }),
  );
});
