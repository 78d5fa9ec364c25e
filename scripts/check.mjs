/** `npm run check`: format, lint, types, and what was generated, without changing a file. All are run; any failing fails. */
import path from "node:path";
import { checkTrackedFiles } from "./check-tracked-files.mjs";
import { checkWorkflows } from "./check-workflows.mjs";
import { run, runModule } from "./process.mjs";

const colors = `--colors=${process.stdout.isTTY ? "force" : "off"}`;

/** Prints what is wrong; returns an exit status. */
function report(wrong) {
  for (const line of wrong) console.error(line);
  return wrong.length === 0 ? 0 : 1;
}

const steps = [
  [
    "format and lint (biome)",
    () => runModule("@biomejs/biome/bin/biome", ["ci", "--error-on-warnings", colors, "."]),
  ],
  ["types (tsc)", () => runModule("typescript/bin/tsc", ["--noEmit"])],
  [
    "format of binding/ (clang-format)",
    () => run(process.execPath, [path.join("scripts", "clang-format.mjs")]),
  ],
  [
    "generated files",
    () =>
      ["generate-operators.mjs", "generate-unicode-classes.mjs"]
        .map((name) => run(process.execPath, [path.join("scripts", name), "--check"]))
        .find((status) => status !== 0) ?? 0,
  ],
  ["workflows (actionlint)", async () => report(await checkWorkflows())],
  ["tracked files", () => report(checkTrackedFiles())],
];

const failed = [];
for (const [name, step] of steps) {
  console.log(`\n== ${name}`);
  if ((await step()) !== 0) failed.push(name);
}
console.log(failed.length === 0 ? "\nAll checks passed." : `\nFailed: ${failed.join(", ")}.`);
process.exit(failed.length === 0 ? 0 : 1);
