import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { hostname, uptime } from "node:os";
import path from "node:path";

/** Older than this, a lock counts as abandoned: its owner may be on another machine (a shared home), or its number reused. */
const ABANDONED_MS = 6 * 3600 * 1000;
const POLL_MS = 250;

interface Owner {
  pid: number;
  host: string;
}

function pause(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

function readOwner(lock: string): Owner | null {
  try {
    return JSON.parse(readFileSync(path.join(lock, "owner.json"), "utf8")) as Owner;
  } catch {
    return null;
  }
}

function isAbandoned(lock: string, owner: Owner | null): boolean {
  let age: number;
  try {
    age = Date.now() - statSync(lock).mtimeMs;
  } catch {
    return false; // gone meanwhile: the next try takes it
  }
  // Without an owner file the process died (or is) between its two steps; give it time for the second.
  if (owner === null) return age > 10_000;
  if (age > ABANDONED_MS) return true;
  if (owner.host !== hostname()) return false;
  // Processes' numbers start anew with the machine.
  if (age > uptime() * 1000) return true;
  try {
    process.kill(owner.pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}

function take(lock: string): boolean {
  try {
    mkdirSync(lock);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
  writeFileSync(
    path.join(lock, "owner.json"),
    JSON.stringify({ pid: process.pid, host: hostname() }),
  );
  return true;
}

/**
 * Runs `action` while no other process that uses the same `lock` (a folder that must not exist) runs its own.
 * A lock whose process has died is taken over. It saves double work only: what is done inside must be safe
 * on its own (stage, then rename), as no lock in a file system survives every network mount.
 *
 * @param onWait Told once, with the other process's number where known, before waiting begins.
 */
export function withLock<T>(
  lock: string,
  action: () => T,
  onWait: (pid: number | null) => void = () => {},
): T {
  mkdirSync(path.dirname(lock), { recursive: true });
  let told = false;
  while (!take(lock)) {
    const owner = readOwner(lock);
    if (isAbandoned(lock, owner)) {
      const aside = `${lock}.${process.pid}.${Date.now()}`;
      try {
        renameSync(lock, aside);
        rmSync(aside, { recursive: true, force: true });
      } catch {
        // another process was quicker
      }
      continue;
    }
    if (!told) {
      told = true;
      onWait(owner?.pid ?? null);
    }
    pause(POLL_MS);
  }
  try {
    return action();
  } finally {
    rmSync(lock, { recursive: true, force: true });
  }
}
