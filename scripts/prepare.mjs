/**
 * npm's `prepare`: makes a clone ready to run. Fetches libtorch where the machine has none, builds the addon, then the
 * TypeScript. npm runs it for `npm install` and `npm ci` in the repository, never for a package from the registry.
 */
import { existsSync } from "node:fs";
import path from "node:path";
import { fail, root, run, runModule } from "./process.mjs";

function skip(reason) {
  console.error(`wavegpt: nothing was built (${reason}).`);
  process.exit(0);
}

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 17)) {
  fail(`wavegpt needs Node 20.17 or newer; this is ${process.version}.`);
}
if (process.env.WAVEGPT_SKIP_PREPARE === "1") skip("WAVEGPT_SKIP_PREPARE=1; npm run build builds");
if (!existsSync(path.join(root, "node_modules", "typescript"))) {
  skip("the development packages are not installed; npm install --include=dev installs them");
}
const binding = run(process.execPath, [path.join("scripts", "build-binding.mjs")]);
if (binding !== 0) process.exit(binding);
const typescript = runModule("typescript/bin/tsc", ["-p", "tsconfig.build.json"]);
if (typescript !== 0) fail("The TypeScript did not compile (see above).");
const ranks = run(process.execPath, [path.join("scripts", "gpt2-ranks.mjs")]);
if (ranks !== 0) process.exit(ranks);
