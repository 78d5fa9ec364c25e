import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { Chart } from "./chart.js";
import { escapeHtml, escapeJson } from "./escape.js";
import { SCRIPT } from "./script.js";
import { STYLE } from "./style.js";

export interface Page {
  readonly title: string;
  /** A sentence or two below the title: text. */
  readonly about: string;
  readonly charts: readonly Chart[];
  /** HTML above and below the charts. */
  readonly before: string;
  readonly after: string;
  /** What the footer says beside when the page was written: text. */
  readonly footer: string;
  readonly now: Date;
}

function uPlotFile(name: string): string {
  return readFileSync(createRequire(import.meta.url).resolve(`uplot/dist/${name}`), "utf8");
}

function figure({ id, title, unit, description }: Chart): string {
  return `<figure aria-labelledby="title-${id}">
<figcaption><h2 id="title-${id}">${escapeHtml(title)}</h2><span>${escapeHtml(unit)}</span></figcaption>
<div id="chart-${id}" role="group" aria-label="${escapeHtml(description)}"></div>
</figure>`;
}

/** An HTML page with charts that needs nothing else: no network, no other file. */
export function htmlPage({ title, about, charts, before, after, footer, now }: Page): string {
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
<p class="about">${escapeHtml(about)}</p>
${before}
${charts.map(figure).join("\n")}
<noscript><p class="about">The charts need JavaScript; the numbers are in the tables.</p></noscript>
${after}
<footer>Written by WaveGPT on <time datetime="${now.toISOString()}">${escapeHtml(now.toISOString().slice(0, 16).replace("T", " "))} UTC</time>. ${escapeHtml(footer)}</footer>
</main>
<script type="application/json" id="charts">${escapeJson(charts)}</script>
<script>${uPlotFile("uPlot.iife.min.js")}</script>
<script>${SCRIPT}</script>
</body>
</html>
`;
}
