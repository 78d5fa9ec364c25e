import { spawnSync } from "node:child_process";

/**
 * Runs npm and returns what it said: the npm that runs this script, else the one on the PATH.
 * @returns {{ status: number | null, stdout: string, stderr: string }}
 */
export function npm(arguments_, options = {}) {
  const cli = process.env.npm_execpath;
  const [file, ...first] = cli ? [process.execPath, cli] : ["npm"];
  const result = spawnSync(file, [...first, ...arguments_], {
    encoding: "utf8",
    maxBuffer: 64 << 20,
    // npm.cmd needs one.
    shell: !cli && process.platform === "win32",
    stdio: ["ignore", "pipe", "pipe"],
    ...options,
  });
  return {
    status: result.status,
    stdout: result.stdout ?? "",
    stderr: result.error?.message ?? result.stderr ?? "",
  };
}
