import { join, resolve } from "node:path";
import type { Command } from "commander";
import { shownPath } from "./paths.js";

/** `wavegpt report` */
export function addReportCommand(program: Command): void {
  program
    .command("report")
    .description("Write one HTML page with the curves of runs, finished or not.")
    .argument("<DIR...>", "folders of runs")
    .option("--out <FILE>", "the page (default: report.html in the first folder)")
    .action(async (folders: string[], options: { out?: string }) => {
      const { summaryTable, textTable, writeReport } = await import("../report/index.js");
      const path = resolve(options.out ?? join(folders[0]!, "report.html"));
      const summaries = writeReport(folders, path);
      process.stdout.write(`${textTable(summaryTable(summaries))}\n\nReport: ${shownPath(path)}\n`);
    });
}
