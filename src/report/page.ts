import { describeSettings } from "../config/settings.js";
import { charts } from "./curves.js";
import { formatCount, formatLoss } from "./format.js";
import { modelTitle, type ReportedRun } from "./runs.js";
import { htmlPage } from "./shell.js";
import { summarize } from "./summary.js";
import { htmlTable, summaryTable } from "./table.js";

function evaluations(runs: readonly ReportedRun[]): string {
  const steps = [...new Set(runs.flatMap((run) => run.val.map((record) => record.step)))].sort(
    (a, b) => a - b,
  );
  const rows = steps.map((step) => [
    formatCount(step),
    ...runs.map((run) => {
      const record = run.val.find((one) => one.step === step);
      return record ? formatLoss(record.loss) : "–";
    }),
  ]);
  const table = htmlTable(
    { columns: ["Step", ...runs.map((run) => run.label)], rows },
    "Held-out loss at each evaluation",
  );
  return `<section><details><summary>Every evaluation in numbers</summary>${table}</details></section>`;
}

function settings(runs: readonly ReportedRun[]): string {
  const rows = describeSettings().map(({ name, flag, derived }) => [
    flag,
    ...runs.map((run) => {
      const value = run.config.settings[name];
      return value === undefined ? (derived ?? "–") : String(value);
    }),
  ]);
  const table = htmlTable(
    { columns: ["Setting", ...runs.map((run) => run.label)], rows },
    "Settings",
  );
  return `<section class="settings"><details><summary>All settings</summary>${table}</details></section>`;
}

function about(runs: readonly ReportedRun[]): string {
  const { text, machine } = runs[0]!.config;
  const share = `${formatCount(text.trainTokens)} tokens to train on, the next ${formatCount(text.valTokens)} held out`;
  return `${text.title}: ${share}. Computed on ${machine.device} with libtorch ${machine.libtorch}.`;
}

/** A report of runs as one HTML page that needs nothing else: no network, no other file. */
export function reportPage(runs: readonly ReportedRun[], now = new Date()): string {
  const models = new Set(runs.map((run) => modelTitle(run.config.settings.model)));
  const title = `${[...models].join(" and ")} on ${runs[0]!.config.text.title}`;
  const footer =
    "Losses are mean cross-entropies in nats per token; bits per character are the same divided by ln 2 and by characters per token.";
  return htmlPage({
    title,
    about: about(runs),
    charts: charts(runs),
    before: `<section>${htmlTable(summaryTable(runs.map(summarize)), "Results")}</section>`,
    after: `${evaluations(runs)}\n${settings(runs)}`,
    footer,
    now,
  });
}
