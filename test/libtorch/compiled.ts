import { spawnSync } from "node:child_process";
import { mkdtempSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { packageRoot } from "../../lib/package-root.js";
import { writeFiles } from "./stub.js";

/** Compiles the search for libtorch into a folder of its own, as it is shipped, so that plain Node processes run it. */
export function compileSearch(): string {
  const compiled = mkdtempSync(path.join(tmpdir(), "wavegpt-compiled-"));
  writeFiles(compiled, { "package.json": '{"name":"wavegpt","type":"module"}' });
  const root = packageRoot();
  symlinkSync(path.join(root, "node_modules"), path.join(compiled, "node_modules"));
  const tsc = path.join(root, "node_modules", "typescript", "bin", "tsc");
  const options = [
    "-p",
    path.join(root, "scripts", "tsconfig.json"),
    "--incremental",
    "false",
    "--tsBuildInfoFile",
    "null",
    "--outDir",
    compiled,
  ];
  const run = spawnSync(process.execPath, [tsc, ...options], { encoding: "utf8" });
  if (run.status !== 0) throw new Error(run.stdout + run.stderr);
  return compiled;
}
