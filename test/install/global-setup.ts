import { spawnSync } from "node:child_process";
import path from "node:path";
import type { TestProject } from "vitest/node";
import { packageRoot } from "../../lib/package-root.js";

declare module "vitest" {
  export interface ProvidedContext {
    /** Folder of `npm run pack:local`. */
    packed: string;
  }
}

/** Packs what a release publishes, once for all of these tests; `WAVEGPT_PACKED` names a folder that has it. */
export function setup(project: TestProject): void {
  if (process.platform === "win32") {
    throw new Error(
      "The tests of the install need a POSIX system: on Windows, the workflow release installs.",
    );
  }
  const given = process.env.WAVEGPT_PACKED;
  const packed = path.resolve(given ?? path.join(packageRoot(), "build", "packed"));
  if (given === undefined) {
    const script = path.join(packageRoot(), "scripts", "pack.mjs");
    const { status } = spawnSync(process.execPath, [script, "--out", packed], { stdio: "inherit" });
    if (status !== 0) throw new Error(`npm run pack:local ended with exit status ${status}`);
  }
  project.provide("packed", packed);
}
