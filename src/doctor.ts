import { existsSync, statfsSync } from "node:fs";
import { availableParallelism, cpus, totalmem } from "node:os";
import path from "node:path";
import { addonLibrary, addonLoader } from "../lib/addon.js";
import {
  cacheDirectory,
  LIBTORCH_VERSION,
  type Libtorch,
  locateLibtorch,
  platformPackage,
} from "../lib/libtorch/index.js";
import { interpreters } from "../lib/libtorch/interpreter.js";
import { packageIndex } from "../lib/libtorch/package-index.js";
import {
  cudaDriver,
  cudaWanted,
  glibcVersion,
  unsupportedPlatform,
} from "../lib/libtorch/platform.js";
import { withoutCredentials } from "../lib/network/remote-files.js";
import { isClone } from "../lib/package-root.js";
import { Style } from "./cli/style.js";
import { locateCorpus } from "./data/corpus.js";
import { describeMachine } from "./machine.js";

/** One thing that was looked at. */
export interface Check {
  readonly name: string;
  /** `"problem"`: nothing works until it is mended. `"note"`: works, with something to know. */
  readonly status: "ok" | "note" | "problem";
  /** What was found. */
  readonly detail: string;
  /** What to do about it. */
  readonly remedy?: string;
}

export interface Diagnosis {
  /** No check is a problem. */
  readonly ok: boolean;
  readonly checks: readonly Check[];
  /** Of the machine and the installation, for a bug report. */
  readonly machine: Readonly<Record<string, string>>;
}

const NODE_NEEDED = [20, 17] as const;
const GIGABYTE = 1e9;

function ok(name: string, detail: string): Check {
  return { name, status: "ok", detail };
}

function note(name: string, detail: string, remedy?: string): Check {
  return { name, status: "note", detail, ...(remedy ? { remedy } : {}) };
}

function problem(name: string, detail: string, remedy?: string): Check {
  return { name, status: "problem", detail, ...(remedy ? { remedy } : {}) };
}

function firstLine(error: unknown): string {
  return (error as Error).message.split("\n")[0] ?? "";
}

function checkNode(): Check {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const recent = major > NODE_NEEDED[0] || (major === NODE_NEEDED[0] && minor >= NODE_NEEDED[1]);
  return recent
    ? ok("Node", process.version)
    : problem("Node", process.version, `Install Node ${NODE_NEEDED.join(".")} or newer.`);
}

function checkPlatform(): Check {
  const glibc = glibcVersion();
  const detail = `${process.platform}-${process.arch}${glibc === null ? "" : `, glibc ${glibc}`}`;
  const unsupported = unsupportedPlatform();
  if (unsupported === null) return ok("Platform", detail);
  // A libtorch of the user's own making may well be there.
  const own = process.env.WAVEGPT_LIBTORCH || process.env.LIBTORCH;
  return own ? note("Platform", detail, unsupported) : problem("Platform", detail, unsupported);
}

function checkProcessor(): Check {
  const model = cpus()[0]?.model.trim() || process.arch;
  const gigabytes = (totalmem() / 2 ** 30).toFixed(1);
  return ok("Processor", `${model}, ${availableParallelism()} threads, ${gigabytes} GiB of memory`);
}

function checkAddon(): Check {
  let loader: string;
  try {
    loader = addonLoader();
  } catch (error) {
    return problem("Addon", (error as Error).message);
  }
  for (const name of ["wavegpt_torch", "wavegpt_tokenizer"]) {
    if (!existsSync(addonLibrary(loader, name))) {
      return problem(
        "Addon",
        `${loader}, but no ${name} library beside it`,
        isClone() ? "Build it: npm run build:binding." : "Install wavegpt again.",
      );
    }
  }
  return ok("Addon", loader);
}

/** What building the addon in a clone fetches libtorch and its headers with; nothing else needs it. */
function checkPython(): Check {
  const found = [...interpreters()];
  const withPip = found.find((python) => python.pip !== null);
  if (withPip) {
    return ok(
      "Python",
      `${withPip.version.join(".")} with pip ${withPip.pipVersion} (${withPip.executable})`,
    );
  }
  const executables = found.map((python) => python.executable).join(", ");
  return note(
    "Python",
    `${found.length === 0 ? "none found" : `${executables}, without pip`} (needed only to build the addon)`,
    "Install Python 3 with pip (Debian: apt-get install python3-pip), or set WAVEGPT_PYTHON.",
  );
}

function describeLibtorch(libtorch: Libtorch): string {
  const version = libtorch.version ?? "of a version that no file beside it tells";
  const build = libtorch.build === null ? "" : `+${libtorch.build}`;
  return `${version}${build} from ${libtorch.origin} (${libtorch.directory})`;
}

function checkLibtorch(): { check: Check; libtorch: Libtorch | null } {
  try {
    const libtorch = locateLibtorch({ fetch: false });
    return { check: ok("libtorch", describeLibtorch(libtorch)), libtorch };
  } catch (error) {
    const named =
      process.env.WAVEGPT_LIBTORCH || process.env.LIBTORCH || process.env.WAVEGPT_PYTHON_TORCH;
    const { code, message } = error as NodeJS.ErrnoException;
    if (named || code !== "ERR_WAVEGPT_LIBTORCH_NOT_FOUND") {
      return { check: problem("libtorch", message), libtorch: null };
    }
    if (process.env.WAVEGPT_NO_DOWNLOAD === "1") {
      const remedy = `Unset WAVEGPT_NO_DOWNLOAD, install ${platformPackage()}, or set WAVEGPT_LIBTORCH.`;
      return { check: problem("libtorch", message, remedy), libtorch: null };
    }
    const check = note(
      "libtorch",
      `${LIBTORCH_VERSION} is not here yet: ${platformPackage()} is not installed. It is fetched at first use, or by ` +
        `npx wavegpt install cpu, from ${withoutCredentials(packageIndex())} (about 120 MB)`,
    );
    return { check, libtorch: null };
  }
}

type Torch = typeof import("../lib/index.js")["torch"];

/** A matrix product and its gradient, small enough to be known by heart. */
function compute(torch: Torch): string | null {
  return torch.tidy(() => {
    const a = torch.tensor(
      [
        [1, 2],
        [3, 4],
      ],
      { requiresGrad: true },
    );
    const product = a.matmul(
      torch.tensor([
        [5, 6],
        [7, 8],
      ]),
    );
    product.sum().backward();
    const found = JSON.stringify([product.tolist(), a.grad?.tolist()]);
    const expected = "[[[19,22],[43,50]],[[11,15],[11,15]]]";
    return found === expected ? null : `expected ${expected}, got ${found}`;
  });
}

async function checkComputation(): Promise<{ checks: Check[]; torch: Torch | null }> {
  let torch: Torch;
  try {
    ({ torch } = await import("../lib/index.js"));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const remedy =
      code === "ERR_WAVEGPT_BINDING_LOAD" && isClone()
        ? "The addon does not fit this libtorch or this system: build it here (npm run build:binding)."
        : undefined;
    return { checks: [problem("Loading", (error as Error).message, remedy)], torch: null };
  }
  const { cpuCapability } = torch.buildInformation();
  const threads = `${torch.getNumThreads()} threads, vectors: ${cpuCapability}`;
  try {
    const wrong = compute(torch);
    const check = wrong === null ? ok("Computing", threads) : problem("Computing", wrong);
    return { checks: [check], torch };
  } catch (error) {
    return { checks: [problem("Computing", (error as Error).message)], torch };
  }
}

function checkGpu(libtorch: Libtorch | null, torch: Torch | null, kernels: string | null): Check {
  if (process.platform === "darwin") {
    return torch?.mps.isAvailable() ? ok("GPU", "Metal (mps)") : note("GPU", "no Metal device");
  }
  const driver = cudaDriver();
  if (driver === null) return note("GPU", "no NVIDIA driver found: the CPU computes");
  if (!cudaWanted()) {
    return note(
      "GPU",
      `an NVIDIA driver is here (${driver}), but hidden by WAVEGPT_CUDA or CUDA_VISIBLE_DEVICES`,
    );
  }
  if (libtorch !== null && !libtorch.cuda) {
    return note(
      "GPU",
      `an NVIDIA driver is here (${driver}), but this libtorch is a CPU build`,
      `npx wavegpt install cuda fetches a CUDA build (2.5 GB); one that is installed already, of torch ${LIBTORCH_VERSION}, is taken with WAVEGPT_LIBTORCH=DIR or WAVEGPT_PYTHON_TORCH=1.`,
    );
  }
  if (torch === null) return note("GPU", `an NVIDIA driver is here (${driver}); not tried`);
  const count = torch.cuda.deviceCount();
  if (count === 0) {
    return note(
      "GPU",
      `an NVIDIA driver is here (${driver}), but CUDA sees no device`,
      "Try nvidia-smi.",
    );
  }
  const devices = `CUDA, ${count} device${count === 1 ? "" : "s"}`;
  return ok(
    "GPU",
    `${devices}, kernels of our own: ${kernels === null ? "yes" : `no (${kernels})`}`,
  );
}

function checkCache(libtorchFound: boolean): Check {
  const directory = cacheDirectory();
  let existing = directory;
  while (!existsSync(existing) && path.dirname(existing) !== existing)
    existing = path.dirname(existing);
  const { bavail, bsize } = statfsSync(existing);
  const free = bavail * bsize;
  const detail = `${directory}, ${(free / GIGABYTE).toFixed(1)} GB free on its disk`;
  return !libtorchFound && free < GIGABYTE
    ? problem("Cache", detail, "libtorch needs 1 GB there: make room, or set WAVEGPT_CACHE_DIR.")
    : ok("Cache", detail);
}

async function checkCorpus(): Promise<Check> {
  try {
    const { title, path: file, notice } = await locateCorpus({ fetch: false });
    return notice ? note("Text", notice) : ok("Text", `${title} (${file})`);
  } catch (error) {
    // A wrong setting is the user's to mend; a text that is merely not here yet is fetched.
    return process.env.WAVEGPT_DATA_DIR && !existsSync(process.env.WAVEGPT_DATA_DIR)
      ? problem("Text", firstLine(error))
      : note("Text", "Tiny Shakespeare is not here yet: it is fetched at first use");
  }
}

/** Looks at everything that a run needs, in the order in which it is needed, and gives each finding as it comes. */
async function* examineInTurn(): AsyncGenerator<Check> {
  yield checkNode();
  yield checkPlatform();
  yield checkProcessor();
  const addon = checkAddon();
  yield addon;
  const { check, libtorch } = checkLibtorch();
  yield check;
  if (isClone()) yield checkPython();
  yield checkCache(libtorch !== null);
  let torch: Torch | null = null;
  if (libtorch === null || addon.status === "problem") {
    yield note("Computing", "not tried, as something it needs is missing");
  } else {
    const computation = await checkComputation();
    yield* computation.checks;
    torch = computation.torch;
  }
  const kernels = torch && (await import("../lib/binding.js")).binding.cudaKernels();
  yield checkGpu(libtorch, torch, kernels);
  yield await checkCorpus();
}

/** What a run needs and whether it is here. Fetches nothing. */
export async function examine(): Promise<Diagnosis> {
  const checks: Check[] = [];
  for await (const check of examineInTurn()) checks.push(check);
  return {
    ok: checks.every((check) => check.status !== "problem"),
    checks,
    machine: describeMachine(),
  };
}

function format(check: Check, style: Style): string {
  const mark = {
    ok: style.green("ok     "),
    note: style.yellow("note   "),
    problem: style.bold("PROBLEM"),
  }[check.status];
  const indent = " ".repeat(20);
  const lines = [...check.detail.split("\n"), ...(check.remedy ? [`-> ${check.remedy}`] : [])];
  return `${mark} ${check.name.padEnd(12)}${lines.join(`\n${indent}`)}\n`;
}

function formatMachine(style: Style): string {
  const lines = Object.entries(describeMachine()).map(
    ([name, value]) => `  ${name.padEnd(14)}${value.replaceAll("\n", `\n${" ".repeat(16)}`)}\n`,
  );
  return `\n${style.bold("For a bug report, with the lines above:")}\n${lines.join("")}`;
}

/**
 * `wavegpt doctor`: prints what was found, line by line as it is found (or one JSON object), what is wrong and how to
 * mend it.
 *
 * @returns The exit status: 0 when a run can start, 1 when something it needs is missing.
 */
export async function doctor(
  options: { json?: boolean; write?: (text: string) => void } = {},
): Promise<number> {
  const write = options.write ?? ((text: string) => void process.stdout.write(text));
  if (options.json) {
    const diagnosis = await examine();
    write(`${JSON.stringify(diagnosis, null, 2)}\n`);
    return diagnosis.ok ? 0 : 1;
  }
  const style = new Style(process.stdout);
  let problems = 0;
  for await (const check of examineInTurn()) {
    if (check.status === "problem") problems++;
    write(format(check, style));
  }
  write(formatMachine(style));
  write(
    problems === 0
      ? "\nAll that a run needs is here or will be fetched.\n"
      : `\n${problems} problem${problems === 1 ? "" : "s"}: mend ${problems === 1 ? "it" : "them"} and run wavegpt doctor again.\n`,
  );
  return problems === 0 ? 0 : 1;
}
