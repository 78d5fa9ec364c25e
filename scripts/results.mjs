/** `npm run results -- DIR...`: puts the results of studies (`wavegpt compare --study`) into docs/results.md, with their figures. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import { figures, fillResults } from "../dist/src/study/markdown.js";
import { root } from "./process.mjs";

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { into: { type: "string", default: path.join(root, "docs", "results.md") } },
});
if (positionals.length === 0) {
  console.error(
    "results: expected the folders of studies, as `wavegpt compare --study` writes them.",
  );
  process.exit(2);
}
const all = positionals.map((folder) =>
  JSON.parse(readFileSync(path.join(folder, "results.json"), "utf8")),
);
writeFileSync(values.into, fillResults(readFileSync(values.into, "utf8"), all));
const folder = path.join(path.dirname(values.into), "figures");
mkdirSync(folder, { recursive: true });
for (const results of all) {
  for (const [name, svg] of figures(results)) writeFileSync(path.join(folder, name), svg);
}
console.log(`${values.into} and ${folder} hold the results of ${positionals.join(", ")}.`);
