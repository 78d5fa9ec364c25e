import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { UsageError } from "../config/usage-error.js";
import { writing } from "./failure.js";

/** Who writes to a run's folder. */
interface Owner {
  readonly pid: number;
  readonly host: string;
  /** When the process began, as the system counts; null where it does not say. */
  readonly began: string | null;
}

/** Tells a process from a later one of the same number, and from what is left of it when it has ended (Linux). */
function beginningOf(pid: number): string | null {
  try {
    // The name in parentheses may hold anything; the first field after it is the state, the 20th the time.
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)!.split(" ");
    return fields[0] === "Z" ? null : (fields[19] ?? null);
  } catch {
    return null;
  }
}

function isAlive({ pid, host, began }: Owner): boolean {
  // What another machine does cannot be seen from here; a dead one must not keep a run for ever.
  if (host !== hostname()) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
  }
  return began === null || beginningOf(pid) === began;
}

function readOwner(path: string): Owner | null {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as Owner;
  } catch {
    return null;
  }
}

/**
 * Keeps other processes from writing to the same run; the lock of a process that has died is taken over.
 * @param work what the others are told that this process does there
 * @returns what gives the folder free again when it is disposed of
 * @throws UsageError where a living process of this machine writes to it
 */
export function lockRun(folder: string, work = "training"): Disposable {
  const path = join(folder, ".lock");
  const owner = { pid: process.pid, host: hostname(), began: beginningOf(process.pid) };
  for (;;) {
    try {
      writeFileSync(path, JSON.stringify(owner), { flag: "wx" });
      return { [Symbol.dispose]: () => rmSync(path, { force: true }) };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") {
        return writing(path, () => {
          throw error;
        });
      }
    }
    const other = readOwner(path);
    if (other !== null && isAlive(other)) {
      throw new UsageError(
        `--out: process ${other.pid} is ${work} in ${folder}. Wait for it or stop it, or choose another folder.`,
      );
    }
    rmSync(path, { force: true });
  }
}
