import { readFileSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "../lib/package-root.js";

/** This package's version, from its package.json. */
export function packageVersion(): string {
  const path = join(packageRoot(), "package.json");
  return (JSON.parse(readFileSync(path, "utf8")) as { version: string }).version;
}
