import { spawnSync } from "node:child_process";
import { preparePython } from "./python-environment.js";

let interpreter: string | null = null;

/** The Python that has torch, numpy and safetensors: `WAVEGPT_PYTHON` or the one that global-setup made. */
export function pythonInterpreter(): string {
  // global-setup leaves the answer in the environment, so that no test file searches again.
  interpreter ??= process.env.WAVEGPT_TEST_PYTHON ?? preparePython();
  return interpreter;
}

function execute(arguments_: readonly string[]): string {
  const run = spawnSync(pythonInterpreter(), arguments_, {
    encoding: "utf8",
    maxBuffer: 1 << 30,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, PYTHONUTF8: "1" },
  });
  if (run.error) throw run.error;
  if (run.status !== 0) {
    throw new Error(`Python ended with ${run.signal ?? run.status}:\n${run.stderr.trim()}`);
  }
  return run.stdout;
}

/**
 * Runs Python source (torch, numpy and safetensors can be imported) and returns what it printed.
 * The arguments are `sys.argv[1:]`.
 *
 * @throws Error with the traceback where the script fails.
 */
export function python(script: string, ...arguments_: string[]): string {
  return execute(["-c", script, ...arguments_]);
}

/** As `python`, for a script in a file. */
export function pythonFile(file: string, ...arguments_: string[]): string {
  return execute([file, ...arguments_]);
}
