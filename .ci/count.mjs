/**
 * Sums vitest's JSON reports and prints "N passed, N failed" alone on the last line.
 * Usage: node .ci/count.mjs FAILED_STEPS REPORT...; exits with 1 where anything failed or no test ran.
 */
import { existsSync, readFileSync } from "node:fs";

const [failedSteps = "0", ...files] = process.argv.slice(2);
let passed = 0;
let failed = 0;
let skipped = 0;
for (const file of files) {
  if (!existsSync(file)) {
    console.log(`no report ${file.split("/").at(-1)}: counted as one failure`);
    failed++;
    continue;
  }
  const report = JSON.parse(readFileSync(file, "utf8"));
  passed += report.numPassedTests;
  skipped += report.numPendingTests + report.numTodoTests;
  // A file that could not even be loaded fails without a failed test.
  const unloaded = report.testResults.filter(
    (result) => result.status === "failed" && result.assertionResults.length === 0,
  ).length;
  failed += report.numFailedTests + unloaded;
}
// A failed step without a failed test: the build, a check, the training run.
if (failed === 0) failed += Number(failedSteps);
if (skipped > 0) console.log(`${skipped} skipped: the runner says of each why`);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);
