import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

/** The share of a process's CPU time that is spent in one library, in percent. */
export interface LibraryShare {
  readonly library: string;
  readonly percent: number;
}

function run(command: string, arguments_: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, arguments_, { stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    let errors = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      errors += text;
    });
    child.on("error", reject);
    child.on("close", (status) =>
      status === 0
        ? resolve(output)
        : reject(new Error(`${command} ${arguments_[0]}: ${errors.trim()}`)),
    );
  });
}

/**
 * Where a running process spends its time, by Linux's `perf`.
 *
 * @throws Error where there is no perf, or it may not look
 */
export async function librariesOf(pid: number, seconds: number): Promise<LibraryShare[]> {
  const folder = mkdtempSync(path.join(tmpdir(), "wavegpt-perf-"));
  try {
    const file = path.join(folder, "perf.data");
    const target = ["-p", String(pid), "--", "sleep", String(seconds)];
    await run("perf", ["record", "-q", "-F", "499", "-o", file, ...target]);
    const report = await run("perf", ["report", "-i", file, "--stdio", "--sort", "dso"]);
    const shares = new Map<string, number>();
    for (const [, percent, found] of report.matchAll(/^\s*([\d.]+)%\s+(.+?)\s*$/gm)) {
      // Code made while running (V8, oneDNN) lies in no file.
      const library = /^\[JIT\]|^\/\/anon|^perf-\d+\.map/.test(found!)
        ? "code made at run time"
        : found!;
      shares.set(library, (shares.get(library) ?? 0) + Number(percent));
    }
    return [...shares].map(([library, percent]) => ({ library, percent }));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
