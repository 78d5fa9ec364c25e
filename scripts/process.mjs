import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

/** The repository's root. */
export const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

/** Says what went wrong in words and ends: no stack, which would hide the one line that matters. */
export function fail(message) {
  process.stderr.write(`\n${message}\n`);
  process.exit(1);
}

/** The file that `name` starts, or null where it is not on the PATH. */
export function findProgram(name) {
  const suffixes = process.platform === "win32" ? [".exe", ".cmd", ".bat"] : [""];
  for (const folder of (process.env.PATH ?? "").split(path.delimiter).filter(Boolean)) {
    for (const suffix of suffixes) {
      const file = path.join(folder, name + suffix);
      if (existsSync(file)) return file;
    }
  }
  return null;
}

/** Runs a program in the repository's root with its output shown; returns its exit status. */
export function run(file, arguments_, options = {}) {
  const result = spawnSync(file, arguments_, { cwd: root, stdio: "inherit", ...options });
  if (result.error) {
    process.stderr.write(`${file}: ${result.error.message}\n`);
    return 1;
  }
  return result.status ?? 1;
}

/** Runs a JavaScript program of node_modules with this Node: no shell, no .cmd files on Windows. */
export function runModule(file, arguments_, options) {
  return run(process.execPath, [path.join(root, "node_modules", file), ...arguments_], options);
}

/** A text file's lines that git tracks, relative to the root. */
export function trackedFiles(...patterns) {
  const result = spawnSync("git", ["ls-files", "-z", "--", ...patterns], {
    cwd: root,
    encoding: "utf8",
    maxBuffer: 64 << 20,
  });
  if (result.status !== 0) fail(`git ls-files failed: ${result.stderr || result.error?.message}`);
  return result.stdout.split("\0").filter(Boolean);
}
