import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { hostname, tmpdir, uptime } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { interpreterWithPip } from "../../lib/libtorch/interpreter.js";
import { withLock } from "../../lib/libtorch/lock.js";
import { compileSearch } from "./compiled.js";
import { makeWheel, torchFiles, writeFiles } from "./stub.js";

/** The search compiled as it is shipped, so that plain Node processes run it. */
let compiled: string;
let python: string;
let folder: string;
const running: ChildProcess[] = [];

beforeAll(() => {
  compiled = compileSearch();
  const found = interpreterWithPip();
  if (found === null)
    throw new Error("these tests need a Python with pip, as fetching libtorch does");
  python = found.executable;
});

afterAll(() => rmSync(compiled, { recursive: true, force: true }));

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "wavegpt-fetch-"));
  mkdirSync(at("wheels"));
});

afterEach(() => {
  for (const child of running.splice(0)) {
    try {
      process.kill(-(child.pid ?? 0), "SIGKILL");
    } catch {
      // ended already
    }
  }
  rmSync(folder, { recursive: true, force: true });
});

const at = (name: string) => path.join(folder, name);
const cacheName = `libtorch-2.13.0-${process.platform}-${process.arch}`;

/** An environment in which pip knows only this test's wheels. */
function environment(extra: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const {
    WAVEGPT_LIBTORCH,
    LIBTORCH,
    WAVEGPT_PYTHON_TORCH,
    WAVEGPT_NO_DOWNLOAD,
    PIP_CONSTRAINT,
    PIP_EXTRA_INDEX_URL,
    LD_LIBRARY_PATH,
    ...rest
  } = process.env;
  return {
    ...rest,
    WAVEGPT_PYTHON: python,
    WAVEGPT_CACHE_DIR: at("cache"),
    WAVEGPT_CUDA: "0",
    PIP_CONFIG_FILE: "/dev/null",
    PIP_NO_INDEX: "1",
    PIP_FIND_LINKS: at("wheels"),
    ...extra,
  };
}

function startLocating(extra: NodeJS.ProcessEnv = {}) {
  const module = pathToFileURL(path.join(compiled, "lib", "libtorch", "index.js")).href;
  const script = `
    import(${JSON.stringify(module)}).then((libtorch) => {
      console.log(JSON.stringify(libtorch.locateLibtorch({ headers: true })));
    }).catch((error) => { console.error(error.code, error.message); process.exit(1); });`;
  const child = spawn(process.execPath, ["-e", script], {
    env: environment(extra),
    stdio: ["ignore", "pipe", "pipe"],
    detached: true, // a group of its own: ended together with its pip
  });
  running.push(child);
  const stdout: string[] = [];
  const stderr: string[] = [];
  child.stdout.setEncoding("utf8").on("data", (text) => stdout.push(text));
  child.stderr.setEncoding("utf8").on("data", (text) => stderr.push(text));
  const done = new Promise<{
    status: number | null;
    found: { directory: string; build: string } | null;
    stderr: string;
  }>((resolve) => {
    child.on("close", (status) => {
      resolve({
        status,
        found: status === 0 ? JSON.parse(stdout.join("")) : null,
        stderr: stderr.join(""),
      });
    });
  });
  return { child, done };
}

const cacheContent = () => (existsSync(at("cache")) ? readdirSync(at("cache")) : []);

/** A Python whose pip touches `started` and then hangs, as a network that answers nothing makes it. */
function hangingPython(): string {
  const file = at("hanging-python");
  const script = `#!/bin/sh
case "$*" in *download*|*install*) touch '${at("started")}'; exec sleep 60;; esac
exec '${python}' "$@"
`;
  writeFileSync(file, script, { mode: 0o755 });
  return file;
}

async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; tries < 400; tries++) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("waited 20 s in vain");
}

describe("fetching libtorch through pip", () => {
  test("fills the cache once, checked and marked, and says what it does on stderr", async () => {
    makeWheel(python, at("wheels"), {
      name: "torch",
      version: "2.13.0+cpu",
      files: torchFiles("2.13.0+cpu"),
    });
    const first = await startLocating().done;
    expect(first.stderr).toMatch(/fetching libtorch 2\.13\.0 once, with pip of .*python/);
    expect(first.found).toMatchObject({
      directory: at(`cache/${cacheName}/torch`),
      origin: "the cache",
      build: "cpu",
      cuda: false,
    });
    expect(cacheContent()).toEqual([cacheName]);
    const marker = JSON.parse(readFileSync(at(`cache/${cacheName}/wavegpt-libtorch.json`), "utf8"));
    expect(marker).toMatchObject({ version: "2.13.0", build: "cpu" });
    expect(existsSync(at(`cache/${cacheName}/torch/include/ATen/ATen.h`))).toBe(true);

    // Again, with nothing to fetch from: found, and silent.
    const second = await startLocating({ WAVEGPT_PYTHON: at("gone") }).done;
    expect(second).toMatchObject({ status: 0, stderr: "", found: first.found });
  });

  test("two processes at once: one fetches, the other waits and finds it", async () => {
    makeWheel(python, at("wheels"), {
      name: "torch",
      version: "2.13.0+cpu",
      files: torchFiles("2.13.0+cpu"),
    });
    const results = await Promise.all([startLocating().done, startLocating().done]);
    const directory = at(`cache/${cacheName}/torch`);
    expect(results.map((result) => result.found?.directory)).toEqual([directory, directory]);
    expect(results.filter((result) => result.stderr.includes("asking pip"))).toHaveLength(1);
    expect(cacheContent()).toEqual([cacheName]);
  });

  test("cut in the middle, nothing half-made is taken, and the next process takes over", async () => {
    makeWheel(python, at("wheels"), {
      name: "torch",
      version: "2.13.0+cpu",
      files: torchFiles("2.13.0+cpu"),
    });
    const cut = startLocating({ WAVEGPT_PYTHON: hangingPython() });
    await until(() => existsSync(at("started")));
    expect(cacheContent()).toContain(`${cacheName}.lock`);
    process.kill(-(cut.child.pid ?? 0), "SIGKILL");
    await cut.done;
    expect(cacheContent()).not.toContain(cacheName);
    const next = await startLocating().done;
    expect(next.found?.directory).toBe(at(`cache/${cacheName}/torch`));
    expect(cacheContent()).toEqual([cacheName]);
  });

  test("files that differ from the wheel's own checksums are refused, by name", async () => {
    const spoil = Object.keys(torchFiles("2.13.0+cpu"))[0] ?? "";
    makeWheel(python, at("wheels"), {
      name: "torch",
      version: "2.13.0+cpu",
      files: torchFiles("2.13.0+cpu"),
      spoil,
    });
    const { found, stderr } = await startLocating().done;
    expect(found).toBeNull();
    expect(stderr).toContain("ERR_WAVEGPT_LIBTORCH_FETCH");
    expect(stderr).toMatch(new RegExp(`${spoil}: expected SHA-256 .*, found`));
    expect(cacheContent()).not.toContain(cacheName);
    // The wheel that was wrong is not kept for the next try either.
    expect(readdirSync(at(`cache/downloads-${cacheName}`))).toEqual([]);
  });

  test("of several builds, the CPU one where no GPU is to be used; WAVEGPT_LIBTORCH_BUILD chooses another", async () => {
    for (const build of ["cpu", "cu130"]) {
      const version = `2.13.0+${build}`;
      makeWheel(python, at("wheels"), { name: "torch", version, files: torchFiles(version) });
    }
    expect((await startLocating().done).found?.build).toBe("cpu");
    rmSync(at("cache"), { recursive: true });
    expect((await startLocating({ WAVEGPT_LIBTORCH_BUILD: "cu130" }).done).found?.build).toBe(
      "cu130",
    );
  });

  test("a CUDA wheel, where pip finds no other, gets NVIDIA's libraries beside it", async () => {
    const requirements = ["sympy", "nvidia-cuda-runtime==13.0.96", "nvidia-cublas==13.1"];
    makeWheel(python, at("wheels"), {
      name: "torch",
      version: "2.13.0",
      files: torchFiles("2.13.0+cu130", true),
      requirements,
    });
    makeWheel(python, at("wheels"), {
      name: "nvidia_cuda_runtime",
      version: "13.0.96",
      files: { "nvidia/cu13/lib/libcudart.so.13": "runtime" },
    });
    makeWheel(python, at("wheels"), {
      name: "nvidia_cublas",
      version: "13.1",
      files: { "nvidia/cu13/lib/libcublas.so.13": "blas" },
    });
    const withoutGpu = await startLocating().done;
    expect(withoutGpu.stderr).toContain("the two small NVIDIA libraries");
    expect(withoutGpu.found).toMatchObject({ build: "cu130", cuda: false });
    expect(readdirSync(at(`cache/${cacheName}/nvidia/cu13/lib`))).toEqual(["libcudart.so.13"]);
  });

  test("a Python that torch has no wheels for fetches another Python's: the libraries are the same", async () => {
    makeWheel(python, at("wheels"), {
      name: "torch",
      version: "2.13.0+cpu",
      files: torchFiles("2.13.0+cpu"),
    });
    const machine = process.arch === "x64" ? "x86_64" : "aarch64";
    const old = {
      executable: at("python3.9"),
      version: [3, 9],
      pip: "23.0",
      torch: null,
      machine,
      wide: true,
    };
    const script = `#!/bin/sh
[ "$1" = -c ] && { echo '${JSON.stringify(old)}'; exit; }
echo "$@" >> '${at("calls")}'
exec '${python}' "$@"
`;
    writeFileSync(at("python3.9"), script, { mode: 0o755 });
    const { found } = await startLocating({ WAVEGPT_PYTHON: at("python3.9") }).done;
    expect(found?.build).toBe("cpu");
    const calls = readFileSync(at("calls"), "utf8").trim().split("\n");
    expect(calls.map((call) => call.split(" ")[2])).toEqual(["download", "install"]);
    for (const call of calls) expect(call).toContain("--python-version 3.13");
  });

  test("without the version in reach, pip's own words and the other ways", async () => {
    makeWheel(python, at("wheels"), {
      name: "torch",
      version: "2.12.0",
      files: torchFiles("2.12.0"),
    });
    const { found, stderr } = await startLocating().done;
    expect(found).toBeNull();
    expect(stderr).toMatch(/No matching distribution found for torch==2\.13\.0/);
    expect(stderr).toMatch(/set WAVEGPT_LIBTORCH/);
    expect(cacheContent()).not.toContain(cacheName);
  });

  test("a Python without pip", async () => {
    const made = spawnSync(python, ["-m", "venv", "--without-pip", at("venv")], {
      encoding: "utf8",
    });
    expect(made.stderr).toBe("");
    const { stderr } = await startLocating({ WAVEGPT_PYTHON: at("venv/bin/python") }).done;
    expect(stderr).toMatch(/ERR_WAVEGPT_LIBTORCH_FETCH .*venv\/bin\/python has none.*python3-pip/);
  });

  test("no Python at all", async () => {
    const { stderr } = await startLocating({ WAVEGPT_PYTHON: undefined, PATH: at("empty") }).done;
    expect(stderr).toMatch(/no Python 3 for \w+ was found on the PATH/);
    expect(cacheContent().filter((name) => name.includes("partial"))).toEqual([]);
  });

  test("a cache folder that cannot be made", async () => {
    writeFileSync(at("file"), "");
    const { stderr } = await startLocating({ WAVEGPT_CACHE_DIR: at("file/cache") }).done;
    expect(stderr).toMatch(
      /ERR_WAVEGPT_LIBTORCH_FETCH .*cache folder .*file\/cache cannot be made.*WAVEGPT_CACHE_DIR/,
    );
  });
});

describe("withLock", () => {
  const lock = () => at("x.lock");
  const own = (owner: object) => writeFiles(lock(), { "owner.json": JSON.stringify(owner) });

  test("is free again after the action, also after one that throws", () => {
    expect(withLock(lock(), () => readdirSync(lock()))).toEqual(["owner.json"]);
    const failing = () =>
      withLock(lock(), () => {
        throw new Error("inside");
      });
    expect(failing).toThrow("inside");
    expect(existsSync(lock())).toBe(false);
  });

  test("takes over the lock of a process that has died", () => {
    const { pid } = spawnSync(process.execPath, ["-e", ""]);
    own({ pid, host: hostname() });
    expect(
      withLock(
        lock(),
        () => "mine",
        () => {
          throw new Error("waited");
        },
      ),
    ).toBe("mine");
  });

  test("takes over a lock older than the machine's start, though its number lives again", () => {
    own({ pid: process.pid, host: hostname() });
    const before = Date.now() / 1000 - uptime() - 60;
    utimesSync(lock(), before, before);
    const waited = () => {
      throw new Error("waited");
    };
    expect(withLock(lock(), () => "mine", waited)).toBe("mine");
  });

  test("waits for a process that lives, and says so once", async () => {
    const child = spawn(process.execPath, [
      "-e",
      `setTimeout(() => require("fs").rmSync(${JSON.stringify(lock())}, { recursive: true }), 700)`,
    ]);
    own({ pid: child.pid, host: hostname() });
    const waits: (number | null)[] = [];
    expect(
      withLock(
        lock(),
        () => "after",
        (pid) => waits.push(pid),
      ),
    ).toBe("after");
    expect(waits).toEqual([child.pid]);
  });
});
