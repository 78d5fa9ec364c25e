import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";

/** A Python on this machine and what matters of it here. */
export interface Interpreter {
  /** How it is started, e.g. `["/usr/bin/python3"]` or `["py", "-3"]`. */
  readonly command: readonly string[];
  readonly executable: string;
  /** Major and minor version. */
  readonly version: readonly [number, number];
  /** The command that runs its pip, or null where it has none. */
  readonly pip: readonly string[] | null;
  readonly pipVersion: string | null;
  /** Where `import torch` would come from, or null. */
  readonly torch: string | null;
}

const PROBE = `
import importlib.util, json, platform, sys
def origin(name):
    try:
        spec = importlib.util.find_spec(name)
        return spec.origin if spec else None
    except Exception:
        return None
pip = None
if origin("pip"):
    try:
        import pip as module
        pip = module.__version__
    except Exception:
        pass
print(json.dumps({"executable": sys.executable, "version": list(sys.version_info[:2]), "pip": pip,
                  "torch": origin("torch"), "machine": platform.machine().lower(), "wide": sys.maxsize > 2**32}))
`;

const MACHINES: Record<string, readonly string[]> = {
  x64: ["x86_64", "amd64"],
  arm64: ["aarch64", "arm64"],
};

interface Probe {
  executable: string;
  version: [number, number];
  pip: string | null;
  torch: string | null;
  machine: string;
  wide: boolean;
}

function probe(command: readonly string[]): Interpreter | null {
  const [file = "", ...rest] = command;
  const run = spawnSync(file, [...rest, "-c", PROBE], {
    encoding: "utf8",
    timeout: 30_000,
    stdio: ["ignore", "pipe", "ignore"],
  });
  if (run.status !== 0) return null;
  const line = run.stdout.trim().split("\n").at(-1) ?? "";
  let found: Probe;
  try {
    found = JSON.parse(line) as Probe;
  } catch {
    return null;
  }
  // A Python for another processor (Rosetta, 32 bits) would fetch a libtorch that Node cannot open.
  if (!found.wide || !MACHINES[process.arch]?.includes(found.machine) || found.version[0] !== 3) {
    return null;
  }
  return {
    command,
    executable: found.executable,
    version: found.version,
    pip: found.pip === null ? null : [...command, "-m", "pip"],
    pipVersion: found.pip,
    torch: found.torch === null ? null : path.dirname(found.torch),
  };
}

function onPath(name: string): string[] {
  const suffixes = process.platform === "win32" ? [".exe", ".bat"] : [""];
  return (process.env.PATH ?? "")
    .split(path.delimiter)
    .filter(Boolean)
    .flatMap((folder) => suffixes.map((suffix) => path.join(folder, name + suffix)))
    .filter((file) => existsSync(file));
}

function candidates(): string[][] {
  // An explicit choice is the only candidate: silently taking another Python would hide a mistake.
  if (process.env.WAVEGPT_PYTHON) return [[process.env.WAVEGPT_PYTHON]];
  const files = [...onPath("python3"), ...onPath("python")].map((file) => [file]);
  return process.platform === "win32" ? [["py", "-3"], ...files] : files;
}

/**
 * The Pythons on this machine in the order in which they are tried: `WAVEGPT_PYTHON` alone where it is set,
 * else every `python3` and `python` on the PATH (Windows: `py -3` first). Each is asked once, on demand.
 */
export function* interpreters(): Generator<Interpreter> {
  const seen = new Set<string>();
  for (const command of candidates()) {
    const found = probe(command);
    if (found === null || seen.has(found.executable)) continue;
    seen.add(found.executable);
    yield found;
  }
}

/** The active Python: the first that answers, or null. */
export function activeInterpreter(): Interpreter | null {
  for (const interpreter of interpreters()) return interpreter;
  return null;
}

/** The first Python that has pip, or null. */
export function interpreterWithPip(): (Interpreter & { readonly pip: readonly string[] }) | null {
  for (const interpreter of interpreters()) {
    if (interpreter.pip !== null) return { ...interpreter, pip: interpreter.pip };
  }
  return null;
}
