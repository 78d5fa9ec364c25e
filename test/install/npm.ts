import { spawnSync } from "node:child_process";
import { existsSync, realpathSync } from "node:fs";
import path from "node:path";

/** The file that `npm` or `npx` on the PATH starts. */
export function npmProgram(name: "npm" | "npx"): string {
  for (const folder of (process.env.PATH ?? "").split(path.delimiter)) {
    const file = path.join(folder, name);
    if (folder !== "" && !folder.includes("node_modules") && existsSync(file)) {
      return realpathSync(file);
    }
  }
  throw new Error(`${name} is not on the PATH`);
}

/** Runs npm or npx in a folder, as whoever runs the tests. */
export function runNpm(name: "npm" | "npx", args: readonly string[], folder: string) {
  return spawnSync(process.execPath, [npmProgram(name), ...args], {
    cwd: folder,
    encoding: "utf8",
    maxBuffer: 64 << 20,
  });
}
