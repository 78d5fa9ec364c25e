import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll } from "vitest";

const BIN = fileURLToPath(new URL("../../bin/", import.meta.url));

export interface Finished {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command that runs. */
export interface Running {
  readonly child: ChildProcess;
  readonly finished: Promise<Finished>;
  /** What it has printed so far. */
  readonly stdout: () => string;
  /** Resolves once standard output matches. */
  readonly until: (pattern: RegExp) => Promise<void>;
}

export interface CommandOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  readonly program?: "wavegpt" | "wavegpt-train";
  /** A shell's words before the command, e.g. `ulimit -f 100;`. */
  readonly shell?: string;
}

/** Starts the compiled command line in a process of its own, as a user would. */
export function start(args: readonly string[], options: CommandOptions = {}): Running {
  const script = join(BIN, `${options.program ?? "wavegpt"}.js`);
  const settings = {
    cwd: options.cwd ?? BIN,
    env: { ...process.env, NO_COLOR: "1", OMP_NUM_THREADS: "1", ...options.env },
  };
  const child =
    options.shell === undefined
      ? spawn(process.execPath, [script, ...args], settings)
      : spawn(
          "bash",
          ["-c", `${options.shell} exec "$@"`, "bash", process.execPath, script, ...args],
          settings,
        );
  let stdout = "";
  let stderr = "";
  const waiting = new Set<() => void>();
  child.stdout!.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
    for (const check of waiting) check();
  });
  child.stderr!.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const finished = new Promise<Finished>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status, signal) => resolve({ status, signal, stdout, stderr }));
  });
  const until = (pattern: RegExp) =>
    new Promise<void>((resolve, reject) => {
      const check = () => {
        if (!pattern.test(stdout)) return;
        waiting.delete(check);
        resolve();
      };
      waiting.add(check);
      check();
      finished.then(() =>
        reject(new Error(`it ended before it printed ${pattern}:\n${stdout}\n${stderr}`)),
      );
    });
  return { child, finished, stdout: () => stdout, until };
}

/** Runs the command line to its end. */
export function run(args: readonly string[], options: CommandOptions = {}): Promise<Finished> {
  return start(args, options).finished;
}

const made: string[] = [];
afterAll(() => {
  for (const path of made.splice(0)) rmSync(path, { recursive: true, force: true });
});

/** A new folder that is removed after the tests of the file. */
export function temporaryFolder(): string {
  const path = mkdtempSync(join(tmpdir(), "wavegpt-test-"));
  made.push(path);
  return path;
}

/** A small text to learn, always the same: words of a few letters in lines. */
export function smallText(words = 900): string {
  let state = 12345;
  const next = (below: number) => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return Math.floor((state / 0x80000000) * below);
  };
  const list = ["wave", "net", "reads", "before", "the", "block", "and", "the", "model", "writes"];
  let text = "";
  for (let i = 0; i < words; i++) text += list[next(list.length)]! + (i % 9 === 8 ? ".\n" : " ");
  return text;
}

/** {@link smallText} in a file. */
export function smallTextFile(folder = temporaryFolder()): string {
  const path = join(folder, "text.txt");
  writeFileSync(path, smallText());
  return path;
}

/** Flags of a model that trains in a moment. */
export const TINY = [
  ...["--n-embd", "16", "--n-heads", "2", "--n-layers", "1", "--block-size", "16"],
  ...["--batch-size", "4", "--log-every", "5", "--sample-tokens", "20", "--threads", "1"],
  ...["--device", "cpu", "--eval-batches", "4"],
];
