import { escapeHtml } from "../report/escape.js";
import { formatCount, formatDuration, formatLoss } from "../report/format.js";
import { htmlPage } from "../report/shell.js";
import { htmlTable } from "../report/table.js";
import { writeFileAtomic } from "../run/atomic.js";
import { probeCharts, studyCharts } from "./charts.js";
import type { ProbeResults } from "./probe-results.js";
import type { StudyResults } from "./results.js";
import { probeTable, studyTable, verdictSentence } from "./table.js";

function everyRun({ arms }: StudyResults): string {
  const rows = arms.flatMap((arm) =>
    arm.runs.map((run) => [
      `${arm.title}, seed ${run.seed}`,
      formatLoss(run.loss),
      run.bits === null ? "–" : formatLoss(run.bits),
      run.trainLoss === null ? "–" : formatLoss(run.trainLoss),
      run.alpha === null ? "–" : formatLoss(run.alpha),
      formatDuration(run.seconds),
    ]),
  );
  const columns = ["Run", "Held-out loss", "Bits/char", "Train loss", "Alpha", "Time"];
  const table = htmlTable({ columns, rows }, "Every run");
  return `<section><details><summary>Every run in numbers</summary>${table}</details></section>`;
}

/** A study's report as one HTML page. */
export function studyPage(results: StudyResults, now = new Date()): string {
  const { title, text, steps, seeds, machine } = results;
  const verdict = verdictSentence(results);
  const share = `${formatCount(text.trainTokens)} tokens to train on, the next ${formatCount(text.valTokens)} held out`;
  return htmlPage({
    title: `${title}: ${text.title}`,
    about: `${share}; ${formatCount(steps)} steps, seeds ${seeds.join(", ")}. Computed on ${machine.device} with libtorch ${machine.libtorch}.`,
    charts: studyCharts(results),
    before: `<section>${htmlTable(studyTable(results), "Results")}${verdict === null ? "" : `<p>${escapeHtml(verdict)}</p>`}</section>`,
    after: everyRun(results),
    footer:
      "Losses are mean cross-entropies over the held-out text after the last step, in nats per token, with 95 % intervals (Student's t over seeds). Bands reach from the least to the largest of the seeds.",
    now,
  });
}

/** The report of a study of probes. */
export function probePage(results: ProbeResults, now = new Date()): string {
  const { title, steps, seeds, window } = results;
  return htmlPage({
    title,
    about: `Small models with a window of ${window} tokens, one for each task, after ${formatCount(steps)} steps; seeds ${seeds.join(", ")}.`,
    charts: probeCharts(results),
    before: `<section>${htmlTable(probeTable(results), "Share of right answers")}</section>`,
    after: "",
    footer: "Bands reach from the least to the largest of the seeds.",
    now,
  });
}

/** Writes a study's report. */
export function writeStudyPage(path: string, results: StudyResults | ProbeResults): void {
  writeFileAtomic(path, "tasks" in results ? probePage(results) : studyPage(results));
}
