import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import path from "node:path";
import { cachedLibtorchRoot } from "./cache.js";
import { fail, fillCache, freeBytes, type Staged } from "./fill-cache.js";
import { type Interpreter, interpreters, interpreterWithPip } from "./interpreter.js";
import { cudaWanted } from "./platform.js";
import { distributionInfos, requirementsOf, verifyRecords } from "./record.js";
import { megabytes, say } from "./telling.js";
import { LIBTORCH_VERSION } from "./version.js";

/** Bytes: the wheel and what it unpacks to, of the CPU build and of the CUDA build with NVIDIA's packages. */
const SPACE_NEEDED = { cpu: 1.0e9, cuda: 9e9 };

/** The Pythons that PyTorch 2.13 has wheels for; others fetch the wheel of the last one named here. */
const WHEEL_PYTHONS = ["3.10", "3.11", "3.12", "3.13", "3.14"];
const FALLBACK_PYTHON = "3.13";

function requireSpace(directory: string, needed: number, what: string): void {
  const free = freeBytes(directory);
  if (free < needed) {
    fail(
      `${what} needs about ${megabytes(needed)} in ${directory}, where ${megabytes(free)} are free. ` +
        "Make room, or set WAVEGPT_CACHE_DIR to a folder on another disk.",
    );
  }
}

type PipRunner = (arguments_: readonly string[]) => { ok: boolean; errors: string };

/** Runs the user's pip with its own settings and mirror; its progress goes to stderr, its errors are kept. */
function pipRunner(
  python: Interpreter & { readonly pip: readonly string[] },
  temporary: string,
): PipRunner {
  const [file = "", ...rest] = python.pip;
  return (arguments_) => {
    const run = spawnSync(file, [...rest, ...arguments_], {
      encoding: "utf8",
      maxBuffer: 64 << 20,
      stdio: ["ignore", 2, "pipe"],
      env: {
        ...process.env,
        PIP_DISABLE_PIP_VERSION_CHECK: "1",
        PIP_NO_INPUT: "1",
        // Our own folder is filled, nothing of the user's Python: these settings of theirs would only refuse that.
        PIP_USER: "0",
        PIP_REQUIRE_VIRTUALENV: "0",
        // pip unpacks there before it moves: the same disk as the cache, as /tmp is often a small one.
        TMPDIR: temporary,
        TEMP: temporary,
        TMP: temporary,
      },
    });
    if (run.signal) fail(`pip was ended by ${run.signal}. Run the same command again to go on.`);
    const errors = run.error ? run.error.message : (run.stderr ?? "").trim();
    return { ok: run.status === 0, errors };
  };
}

function lastLines(text: string): string {
  return text
    .split("\n")
    .filter((line) => line.trim() !== "" && !/^\s*(WARNING|DEPRECATION|\[notice\])/.test(line))
    .slice(-6)
    .map((line) => `    ${line.trim()}`)
    .join("\n");
}

/** `torch==2.13.0`, preferring the build that suits this machine where the user's pip knows several. */
function requirementsToTry(): string[] {
  const base = `torch==${LIBTORCH_VERSION}`;
  const build = process.env.WAVEGPT_LIBTORCH_BUILD;
  if (build) return [`${base}+${build}`];
  // Without a GPU the CUDA build is 500 MB for nothing; the index may have a CPU one (PyTorch's own has).
  return process.platform === "darwin" || cudaWanted() ? [base] : [`${base}+cpu`, base];
}

function interpreterFlags(python: Interpreter): string[] {
  const version = python.version.join(".");
  return WHEEL_PYTHONS.includes(version)
    ? []
    : ["--python-version", FALLBACK_PYTHON, "--implementation", "cp", "--only-binary=:all:"];
}

function findWheel(downloads: string): string | null {
  if (!existsSync(downloads)) return null;
  const build = process.env.WAVEGPT_LIBTORCH_BUILD;
  const start = `torch-${LIBTORCH_VERSION}${build ? `+${build}-` : ""}`;
  const name = readdirSync(downloads).find(
    (file) => file.startsWith(start) && file.endsWith(".whl"),
  );
  return name === undefined ? null : path.join(downloads, name);
}

function download(pip: PipRunner, downloads: string, flags: readonly string[]): string {
  let errors = "";
  for (const requirement of requirementsToTry()) {
    say(`asking pip for ${requirement}`);
    const result = pip(["download", "--no-deps", ...flags, "--dest", downloads, requirement]);
    const wheel = findWheel(downloads);
    if (result.ok && wheel !== null) return wheel;
    errors = result.errors;
    if (freeBytes(downloads) < 50e6) fail(`the disk of ${downloads} is full.`);
  }
  return fail(
    `pip said:\n${lastLines(errors)}\nIs the package index reachable from here (proxy, mirror)?`,
  );
}

/**
 * What must lie beside a CUDA wheel's libraries: NVIDIA's packages, all of them where a GPU is to be used,
 * else only the runtime and CUPTI, which `libtorch_cpu` itself links in that build.
 */
export function nvidiaRequirements(requirements: readonly string[], gpu: boolean): string[] {
  const nvidia = requirements.filter(
    (requirement) =>
      /^(nvidia-|cuda-toolkit\b)/.test(requirement) && !/\bextra\s*==/.test(requirement),
  );
  if (gpu) return nvidia;
  return nvidia
    .filter((requirement) => /^(cuda-toolkit\b|nvidia-cuda-(runtime|cupti)\b)/.test(requirement))
    .map((requirement) =>
      requirement.replace(/^cuda-toolkit\[[^\]]*\]/, "cuda-toolkit[cudart,cupti]"),
    );
}

function install(pip: PipRunner, arguments_: readonly string[], target: string): void {
  const result = pip([
    "install",
    "--no-warn-conflicts",
    "--no-compile",
    "--target",
    target,
    ...arguments_,
  ]);
  if (result.ok) return;
  if (freeBytes(target) < 50e6) fail(`the disk of ${target} is full.`);
  fail(`pip said:\n${lastLines(result.errors)}`);
}

function addNvidiaPackages(pip: PipRunner, target: string, flags: readonly string[]): void {
  const info = distributionInfos(target).find((folder) =>
    path.basename(folder).startsWith("torch-"),
  );
  const gpu = cudaWanted();
  const needed = info === undefined ? [] : nvidiaRequirements(requirementsOf(info), gpu);
  if (needed.length === 0) return;
  say(
    gpu
      ? "this is a CUDA build: fetching NVIDIA's libraries too (about 2 GB)"
      : "this is a CUDA build, the only one that pip found: fetching the two small NVIDIA libraries that it cannot be opened without",
  );
  if (gpu) requireSpace(target, SPACE_NEEDED.cuda, "the CUDA build");
  install(pip, [...flags, ...needed], target);
}

function stage(staging: string, downloads: string): Staged {
  const python = interpreterWithPip();
  if (python === null) {
    const without = [...interpreters()].map((found) => found.executable);
    fail(
      without.length === 0
        ? `no Python 3 for ${process.arch} was found${process.env.WAVEGPT_PYTHON ? ` at WAVEGPT_PYTHON (${process.env.WAVEGPT_PYTHON})` : " on the PATH"}. It comes through pip: install Python with pip (Debian: apt-get install python3-pip).`
        : `it comes through pip, and ${without.join(" and ")} ${without.length === 1 ? "has" : "have"} none. Install it (Debian: apt-get install python3-pip; elsewhere: python3 -m ensurepip), or set WAVEGPT_PYTHON to a Python that has it.`,
    );
  }
  const temporary = path.join(staging, "tmp");
  const target = path.join(staging, "site-packages");
  mkdirSync(temporary, { recursive: true });
  mkdirSync(target, { recursive: true });
  requireSpace(staging, SPACE_NEEDED.cpu, "libtorch");
  say(
    `fetching libtorch ${LIBTORCH_VERSION} once, with pip of ${python.executable} (about 200 MB; 500 MB where only a CUDA build is offered)`,
  );
  const pip = pipRunner(python, temporary);
  const flags = interpreterFlags(python);
  mkdirSync(downloads, { recursive: true });
  const wheel = findWheel(downloads) ?? download(pip, downloads, flags);
  say("unpacking");
  try {
    install(pip, [...flags, "--no-deps", wheel], target);
    addNvidiaPackages(pip, target, flags);
    say("checking the files against their SHA-256");
    const wrong = verifyRecords(target);
    if (wrong.length > 0) {
      fail(
        `${wrong.length} file(s) are not as the package recorded them:\n${lastLines(wrong.join("\n"))}`,
      );
    }
  } catch (error) {
    // Kept, a broken wheel would fail again at every try.
    rmSync(wheel, { force: true });
    throw error;
  }
  return { directory: target, wheel: path.basename(wheel), python: python.version.join(".") };
}

/**
 * Fills the user's cache with libtorch and its headers, to build the addon with, through their own pip, which honours
 * their mirror, proxy and certificates. Every file is compared with the SHA-256 that the wheel records. Progress goes to
 * stderr.
 *
 * @returns the folder that holds `lib/` and `include/`
 * @throws WaveGPTError `ERR_WAVEGPT_LIBTORCH_FETCH` that says what was missing and the other ways.
 */
export function fetchLibtorch(): string {
  return fillCache(cachedLibtorchRoot(), stage);
}
