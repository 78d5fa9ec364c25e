import { writeFileAtomic } from "../run/atomic.js";
import { reportPage } from "./page.js";
import { readRuns } from "./runs.js";
import { type RunSummary, summarize } from "./summary.js";

export type { RunSummary } from "./summary.js";
export { type SummaryTable, summaryTable, textTable } from "./table.js";

/**
 * Writes one page about runs, finished or not.
 * @param folders the runs' folders
 * @param path the HTML file
 * @returns the page's table, a line a run
 * @throws WaveGPTError ERR_WAVEGPT_RUN_FOLDER where a folder holds no run, ERR_WAVEGPT_WRITE
 */
export function writeReport(folders: readonly string[], path: string): RunSummary[] {
  const runs = readRuns(folders);
  writeFileAtomic(path, reportPage(runs));
  return runs.map(summarize);
}
