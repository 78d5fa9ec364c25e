import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { cacheDirectory, LIBTORCH_VERSION, locateLibtorch } from "../lib/libtorch/index.js";
import { type Interpreter, interpreters } from "../lib/libtorch/interpreter.js";
import { withLock } from "../lib/libtorch/lock.js";
import { packageRoot } from "../lib/package-root.js";

const REQUIREMENTS = path.join(packageRoot(), "test", "requirements.txt");
const WINDOWS = process.platform === "win32";

function say(line: string): void {
  process.stderr.write(`wavegpt tests: ${line}\n`);
}

/** The Python on this machine that the environment is made from: the first that has pip. */
function basePython(): Interpreter & { readonly pip: readonly string[] } {
  const seen: string[] = [];
  for (const found of interpreters()) {
    if (found.pip !== null) return { ...found, pip: found.pip };
    seen.push(found.executable);
  }
  throw new Error(
    `The tests compare with PyTorch from Python and need a Python 3 with pip; found ${seen.join(", ") || "none"}. ` +
      "Install one (Debian: apt-get install python3-pip), or set WAVEGPT_PYTHON to a Python that has torch, numpy and safetensors.",
  );
}

/** The site-packages of the libtorch in use, where the torch in it can be imported by `python`; else null. */
function importableTorch(python: Interpreter): string | null {
  const { directory } = locateLibtorch();
  const tag = WINDOWS ? `.cp${python.version.join("")}-` : `.cpython-${python.version.join("")}-`;
  const matches =
    existsSync(path.join(directory, "__init__.py")) &&
    readdirSync(directory).some((name) => name.startsWith("_C.") && name.includes(tag));
  return matches ? path.dirname(directory) : null;
}

function run(what: string, [file = "", ...rest]: readonly string[], arguments_: string[]): void {
  const result = spawnSync(file, [...rest, ...arguments_], {
    encoding: "utf8",
    stdio: ["ignore", 2, "pipe"],
    env: {
      ...process.env,
      PIP_DISABLE_PIP_VERSION_CHECK: "1",
      PIP_USER: "0",
      PIP_REQUIRE_VIRTUALENV: "0",
    },
  });
  if (result.status !== 0) {
    throw new Error(`${what} failed: ${result.error?.message ?? result.stderr.trim()}`);
  }
}

function sitePackages(environment: string, python: Interpreter): string {
  return WINDOWS
    ? path.join(environment, "Lib", "site-packages")
    : path.join(environment, "lib", `python${python.version.join(".")}`, "site-packages");
}

function fill(
  environment: string,
  python: Interpreter & { readonly pip: readonly string[] },
  torch: string | null,
) {
  say(`making their Python (${python.version.join(".")}) once, in the cache`);
  // Without pip: Debian's python3 has venv but not ensurepip, and the outer pip can install into it.
  run("python -m venv", python.command, ["-m", "venv", "--without-pip", environment]);
  const packages = sitePackages(environment, python);
  const wanted = torch === null ? [`torch==${LIBTORCH_VERSION}`] : [];
  run("pip", python.pip, [
    "install",
    "--quiet",
    "--target",
    packages,
    "-r",
    REQUIREMENTS,
    ...wanted,
  ]);
  if (torch !== null) writeFileSync(path.join(packages, "wavegpt-libtorch.pth"), `${torch}\n`);
}

/**
 * The interpreter that the tests compare with: `WAVEGPT_PYTHON`, else an environment in wavegpt's cache, made at
 * first use with the pinned packages of `requirements.txt` and the torch that came with libtorch.
 */
export function preparePython(): string {
  if (process.env.WAVEGPT_PYTHON) return process.env.WAVEGPT_PYTHON;
  const python = basePython();
  const torch = importableTorch(python);
  const hash = createHash("sha256")
    .update(JSON.stringify([python.executable, python.version, torch, LIBTORCH_VERSION]))
    .update(readFileSync(REQUIREMENTS))
    .digest("hex")
    .slice(0, 12);
  const environment = path.join(cacheDirectory(), `test-python-${hash}`);
  const executable = WINDOWS
    ? path.join(environment, "Scripts", "python.exe")
    : path.join(environment, "bin", "python");
  if (existsSync(executable)) return executable;
  mkdirSync(cacheDirectory(), { recursive: true });
  withLock(`${environment}.lock`, () => {
    if (existsSync(executable)) return;
    const staging = `${environment}.partial`;
    rmSync(staging, { recursive: true, force: true });
    fill(staging, python, torch);
    renameSync(staging, environment);
  });
  return executable;
}
