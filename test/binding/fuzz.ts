import { spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { packageRoot } from "../../lib/package-root.js";

/** What a fuzzing process counted. */
export interface FuzzCount {
  calls: number;
  succeeded: number;
  refused: number;
  operators: number;
}

// A child that fills the machine's memory would be killed from outside, which is no finding: its address space is bounded.
const MEMORY_KILOBYTES = 12_000_000;

/**
 * Runs a fuzzing script in a process of its own and returns what it counted.
 *
 * @throws Error where the process ended in another way than by finishing, with the call that it was making.
 */
export async function fuzz(script: string, ...numbers: number[]): Promise<FuzzCount> {
  const folder = mkdtempSync(path.join(tmpdir(), "wavegpt-fuzz-"));
  const log = path.join(folder, "call");
  const descriptor = openSync(log, "w+");
  const command = [
    process.execPath,
    path.join(packageRoot(), "test/binding", script),
    ...numbers.map(String),
  ];
  const bounded =
    process.platform === "linux"
      ? ["sh", "-c", `ulimit -v ${MEMORY_KILOBYTES} -c 0; exec "$@"`, "sh", ...command]
      : command;
  try {
    const child = spawn(bounded[0] as string, bounded.slice(1), {
      stdio: ["ignore", "pipe", "pipe", descriptor],
      // Some operators write a file of the name they are given.
      cwd: folder,
      env: { ...process.env, OMP_NUM_THREADS: "1", NODE_OPTIONS: "" },
    });
    const output: Record<"stdout" | "stderr", string> = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const) {
      child[name]?.setEncoding("utf8").on("data", (text: string) => {
        output[name] = (output[name] + text).slice(-4000);
      });
    }
    const end = await new Promise<number | NodeJS.Signals | null>((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (code, signal) => resolve(code ?? signal));
    });
    if (end !== 0) {
      const call = readFileSync(log, "utf8").trim();
      throw new Error(`the process ended with ${end} in call ${call}\n${output.stderr}`);
    }
    return JSON.parse(output.stdout.trim().split("\n").at(-1) ?? "") as FuzzCount;
  } finally {
    closeSync(descriptor);
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Fuzzes every operator in processes of `chunk` operators each, two at a time, and adds up the counts. */
export async function fuzzOperators(seed: number, callsPerOperator: number, operators: number) {
  const chunk = 200;
  const starts = Array.from({ length: Math.ceil(operators / chunk) }, (_, index) => index * chunk);
  const total: FuzzCount = { calls: 0, succeeded: 0, refused: 0, operators: 0 };
  const failures: string[] = [];
  await Promise.all(
    [0, 1].map(async () => {
      for (let first = starts.shift(); first !== undefined; first = starts.shift()) {
        try {
          const count = await fuzz(
            "fuzz-operators.mjs",
            seed,
            callsPerOperator,
            first,
            first + chunk,
            0,
          );
          for (const key of Object.keys(total) as (keyof FuzzCount)[]) total[key] += count[key];
        } catch (error) {
          failures.push((error as Error).message);
        }
      }
    }),
  );
  return { total, failures };
}
