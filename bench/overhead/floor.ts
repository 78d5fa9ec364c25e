import { spawnSync } from "node:child_process";
import path from "node:path";
import { packageRoot } from "../../lib/package-root.js";

/** Builds `floor.cc`, with what the addon was built with, and returns where it is. */
export function buildFloor(): string {
  const build = path.join(packageRoot(), "build");
  const options = ["--build", build, "--target", "overhead_floor", "--config", "Release"];
  const made = spawnSync("cmake", options, { encoding: "utf8" });
  if (made.status !== 0) {
    const reason = made.error?.message ?? `${made.stdout}${made.stderr}`.trim();
    throw new Error(`The floor does not compile; npm run build:binding comes first:\n${reason}`);
  }
  const name = process.platform === "win32" ? "Release/overhead_floor.exe" : "overhead_floor";
  return path.join(build, name);
}
