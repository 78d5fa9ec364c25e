import { join } from "node:path";
import type { SettingsInput } from "../config/settings.js";
import { planStudy, type StudySources } from "../study/plan.js";
import { interruptible } from "./interrupt.js";
import { shellWord, shownPath } from "./paths.js";
import { createStudyReporter } from "./study-reporter.js";

export interface StudyFlags extends StudySources {
  readonly json: boolean;
  readonly parallel: number | undefined;
  readonly timingRounds: number | undefined;
}

/**
 * Runs a study for `wavegpt compare --study`.
 * @returns the exit status
 */
export async function studyCommand(given: SettingsInput, flags: StudyFlags): Promise<number> {
  const { json, ...options } = flags;
  // Mistakes are named before libtorch is loaded, which at first use means fetched.
  planStudy(given, options);
  const { runStudy } = await import("../study/run.js");
  const { textTable } = await import("../report/index.js");
  const { probeTable, studyTable, verdictSentence } = await import("../study/table.js");
  const reporter = createStudyReporter({ json });
  const interrupt = interruptible(reporter.notice);
  try {
    const result = await runStudy(given, {
      ...options,
      signal: interrupt.signal,
      onEvent: reporter.event,
    });
    if (json) process.stdout.write(`${JSON.stringify({ event: "results", ...result })}\n`);
    const { results, out } = result;
    if (results !== null) {
      const isProbes = "tasks" in results;
      const table = textTable(isProbes ? probeTable(results) : studyTable(results));
      const verdict = isProbes ? null : verdictSentence(results);
      const report = `Report: ${shownPath(join(out, "report.html"))}`;
      reporter.print(["", table, ...(verdict === null ? [] : [verdict]), report].join("\n\n"));
    }
    if (result.finished) return 0;
    reporter.print(`Go on with:\n  npx wavegpt compare --resume ${shellWord(shownPath(out))}`);
    return 130;
  } finally {
    interrupt.release();
    reporter.close();
  }
}
