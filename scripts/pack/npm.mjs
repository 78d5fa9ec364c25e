import { spawnSync } from "node:child_process";
import { fail } from "../process.mjs";

/** Makes `directory` a tarball in `out`, without running its scripts. @returns the tarball's name */
export function npmPack(directory, out) {
  // npm tells the scripts that it runs where it is; without it, the one on the PATH.
  const npm = process.env.npm_execpath;
  const [file, ...first] = npm ? [process.execPath, npm] : ["npm"];
  const arguments_ = [
    ...first,
    "pack",
    directory,
    "--json",
    "--ignore-scripts",
    "--pack-destination",
    out,
  ];
  const result = spawnSync(file, arguments_, {
    cwd: out,
    encoding: "utf8",
    maxBuffer: 64 << 20,
    shell: !npm && process.platform === "win32",
    stdio: ["ignore", "pipe", "pipe"],
  });
  if (result.error || result.status !== 0) {
    fail(`npm pack ${directory}: ${result.error?.message ?? result.stderr}`);
  }
  const told = JSON.parse(result.stdout);
  // A list until npm 11, keyed by name since.
  const [{ filename }] = Object.values(told);
  return filename.replace(/^@/, "").replaceAll("/", "-");
}
