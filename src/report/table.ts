import { escapeHtml } from "./escape.js";
import { formatCount, formatDuration, formatLoss } from "./format.js";
import { modelTitle } from "./runs.js";
import { type RunSummary, type Spread, spread } from "./summary.js";

/** A table of runs, ready for a terminal or a page. */
export interface SummaryTable {
  readonly columns: readonly string[];
  /** A row's first cell is its heading. */
  readonly rows: readonly (readonly string[])[];
}

const NONE = "–";

function show<T>(value: T | null, format: (value: T) => string): string {
  return value === null ? NONE : format(value);
}

function withDeviation(value: Spread | null, format: (n: number) => string): string {
  return show(value, ({ mean, deviation }) =>
    deviation === null ? format(mean) : `${format(mean)} ± ${format(deviation)}`,
  );
}

/** One row a run; where models were trained with several seeds, a row for each model's mean too. */
export function summaryTable(summaries: readonly RunSummary[]): SummaryTable {
  const columns = [
    "Run",
    "Parameters",
    "Steps",
    "Train loss",
    "Held-out loss",
    "Bits/char",
    "Best at step",
    "Last held-out",
    "Alpha",
    "Tokens/s",
    "Time",
  ];
  const rows = summaries.map((run) => [
    run.label,
    formatCount(run.parameters),
    formatCount(run.steps),
    show(run.trainLoss, formatLoss),
    show(run.bestLoss, formatLoss),
    show(run.bestBits, formatLoss),
    show(run.bestStep, formatCount),
    show(run.lastLoss, formatLoss),
    show(run.alpha, formatLoss),
    show(run.tokensPerSecond, formatCount),
    formatDuration(run.seconds),
  ]);
  for (const model of new Set(summaries.map((run) => run.model))) {
    const seeds = summaries.filter((run) => run.model === model);
    if (seeds.length < 2) continue;
    const over = (pick: (run: RunSummary) => number | null) => spread(seeds.map(pick));
    rows.push([
      `${modelTitle(model)}, mean of ${seeds.length}`,
      formatCount(seeds[0]!.parameters),
      NONE,
      withDeviation(
        over((run) => run.trainLoss),
        formatLoss,
      ),
      withDeviation(
        over((run) => run.bestLoss),
        formatLoss,
      ),
      withDeviation(
        over((run) => run.bestBits),
        formatLoss,
      ),
      NONE,
      withDeviation(
        over((run) => run.lastLoss),
        formatLoss,
      ),
      withDeviation(
        over((run) => run.alpha),
        formatLoss,
      ),
      show(
        over((run) => run.tokensPerSecond),
        ({ mean }) => formatCount(mean),
      ),
      show(
        over((run) => run.seconds),
        ({ mean }) => formatDuration(mean),
      ),
    ]);
  }
  return { columns, rows };
}

/** For a terminal: headings and numbers to the right, the first column to the left. */
export function textTable({ columns, rows }: SummaryTable): string {
  const widths = columns.map((heading, i) =>
    Math.max(heading.length, ...rows.map((row) => row[i]!.length)),
  );
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .join("  ")
      .trimEnd();
  const rule = widths.map((width) => "─".repeat(width)).join("──");
  return [line(columns), rule, ...rows.map(line)].join("\n");
}

/** For a page. */
export function htmlTable({ columns, rows }: SummaryTable, caption: string): string {
  const head = columns.map((heading) => `<th scope="col">${escapeHtml(heading)}</th>`).join("");
  const body = rows
    .map(([heading, ...cells]) => {
      const data = cells.map((cell) => `<td>${escapeHtml(cell)}</td>`).join("");
      return `<tr><th scope="row">${escapeHtml(heading!)}</th>${data}</tr>`;
    })
    .join("\n");
  return `<div class="scroll" tabindex="0" role="region" aria-label="${escapeHtml(caption)}"><table><caption>${escapeHtml(caption)}</caption>
<thead><tr>${head}</tr></thead>
<tbody>
${body}
</tbody></table></div>`;
}
