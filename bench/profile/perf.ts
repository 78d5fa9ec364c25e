import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";

/** Where a thread was when perf looked. */
export interface Frame {
  /** The file's name without its folder, e.g. `libtorch_cpu.so`. */
  readonly library: string;
  /** The function, or null where the file names none. */
  readonly symbol: string | null;
}

/** CPU time of one thread in one place. */
export interface Sample {
  readonly thread: number;
  readonly nanoseconds: number;
  /** The innermost place in the program; the kernel's own time is where it was called from. */
  readonly frame: Frame;
  /** Whether the time was spent in the operating system's kernel, e.g. on a page fault. */
  readonly kernel: boolean;
}

export interface Recording {
  readonly samples: readonly Sample[];
  readonly seconds: number;
}

function start(command: string, arguments_: readonly string[]) {
  const child = spawn(command, arguments_, { stdio: ["ignore", "pipe", "pipe"] });
  let errors = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    errors = (errors + text).slice(-4000);
  });
  const ended = new Promise<void>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status) =>
      status === 0 ? resolve() : reject(new Error(`${command} ${arguments_[0]}: ${errors.trim()}`)),
    );
  });
  return { output: child.stdout, ended };
}

const HEAD = /^\s*(\d+)\s+([\d.]+):\s+(\d+)\s*$/;
const PLACE = /^\s*[0-9a-f]+ (.*) \((.*)\)$/;

/** Reads what `perf script -F tid,time,period,ip,sym,dso` prints: a line for the sample, one for each frame. */
export async function readSamples(lines: AsyncIterable<string>): Promise<Recording> {
  const samples: Sample[] = [];
  let [first, last] = [Number.POSITIVE_INFINITY, 0];
  let open: { thread: number; nanoseconds: number; kernel: boolean } | null = null;
  for await (const line of lines) {
    const head = HEAD.exec(line);
    if (head !== null) {
      open = { thread: Number(head[1]), nanoseconds: Number(head[3]), kernel: false };
      first = Math.min(first, Number(head[2]));
      last = Math.max(last, Number(head[2]));
      continue;
    }
    const place = open === null ? null : PLACE.exec(line);
    if (place === null) continue;
    const [, symbol, file] = place as unknown as [string, string, string];
    if (file.startsWith("[kernel")) {
      open!.kernel = true;
      continue;
    }
    const frame = {
      library: path.basename(file.replace(/ \(deleted\)$/, "")),
      symbol: symbol === "[unknown]" ? null : symbol,
    };
    samples.push({ ...open!, frame });
    open = null;
  }
  if (samples.length === 0) throw new Error("perf saw nothing of the process");
  return { samples, seconds: last - first };
}

/**
 * Where a running process spends its CPU time, by Linux's `perf`.
 *
 * @throws Error where there is no perf, or it may not look
 */
export async function record(pid: number, seconds: number): Promise<Recording> {
  const folder = mkdtempSync(path.join(tmpdir(), "wavegpt-perf-"));
  try {
    const file = path.join(folder, "perf.data");
    const what = ["-e", "cpu-clock", "-F", "1999", "-g", "-p", String(pid)];
    await start("perf", ["record", "-q", "-o", file, ...what, "--", "sleep", String(seconds)])
      .ended;
    const script = start("perf", [
      "script",
      ...["-i", file, "--no-inline", "--max-stack", "48", "-F", "tid,time,period,ip,sym,dso"],
    ]);
    const [recording] = await Promise.all([
      readSamples(createInterface({ input: script.output })),
      script.ended,
    ]);
    return recording;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
