/** `npm run bench`: compiles the benchmarks with the sources they measure, and runs them. See main.ts. */
import path from "node:path";
import { pathToFileURL } from "node:url";
import { fail, root, runModule } from "../scripts/process.mjs";

if (runModule("typescript/bin/tsc", ["-p", path.join("bench", "tsconfig.json")]) !== 0) {
  fail("The benchmarks do not compile (see above).");
}
await import(pathToFileURL(path.join(root, "build", "bench", "bench", "main.js")).href);
