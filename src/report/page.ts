import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { describeSettings } from "../config/settings.js";
import { type Chart, charts } from "./curves.js";
import { escapeHtml, escapeJson } from "./escape.js";
import { formatCount, formatLoss } from "./format.js";
import { modelTitle, type ReportedRun } from "./runs.js";
import { SCRIPT } from "./script.js";
import { STYLE } from "./style.js";
import { summarize } from "./summary.js";
import { htmlTable, summaryTable } from "./table.js";

function uPlotFile(name: string): string {
  return readFileSync(createRequire(import.meta.url).resolve(`uplot/dist/${name}`), "utf8");
}

function figure({ id, title, unit, description }: Chart): string {
  return `<figure aria-labelledby="title-${id}">
<figcaption><h2 id="title-${id}">${escapeHtml(title)}</h2><span>${escapeHtml(unit)}</span></figcaption>
<div id="chart-${id}" role="group" aria-label="${escapeHtml(description)}"></div>
</figure>`;
}

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
  const drawn = charts(runs);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:">
<title>${escapeHtml(title)}</title>
<link rel="icon" href="data:,">
<style>${uPlotFile("uPlot.min.css")}${STYLE}</style>
</head>
<body>
<main>
<h1>${escapeHtml(title)}</h1>
<p class="about">${escapeHtml(about(runs))}</p>
<section>${htmlTable(summaryTable(runs.map(summarize)), "Results")}</section>
${drawn.map(figure).join("\n")}
<noscript><p class="about">The charts need JavaScript; the numbers are in the tables.</p></noscript>
${evaluations(runs)}
${settings(runs)}
<footer>Written by WaveGPT on <time datetime="${now.toISOString()}">${escapeHtml(now.toISOString().slice(0, 16).replace("T", " "))} UTC</time>. Losses are mean cross-entropies in nats per token; bits per character are the same divided by ln 2 and by characters per token.</footer>
</main>
<script type="application/json" id="charts">${escapeJson(drawn)}</script>
<script>${uPlotFile("uPlot.iife.min.js")}</script>
<script>${SCRIPT}</script>
</body>
</html>
`;
}
