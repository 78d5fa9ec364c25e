import type { Chart } from "../report/chart.js";
import { formatCount } from "../report/format.js";
import { chartSvg } from "../report/svg.js";
import type { SummaryTable } from "../report/table.js";
import { probeCharts, studyCharts } from "./charts.js";
import type { ProbeResults } from "./probe-results.js";
import type { StudyResults } from "./results.js";
import { probeTable, studyTable, verdictSentence } from "./table.js";

/** What a study's `results.json` holds. */
export type AnyResults = StudyResults | ProbeResults;

const isProbes = (results: AnyResults): results is ProbeResults => "tasks" in results;

/** A table for a page: all columns but the first to the right. */
function markdownTable({ columns, rows }: SummaryTable): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const rule = columns.map((_, i) => (i === 0 ? "---" : "---:"));
  return [line(columns), line(rule), ...rows.map(line)].join("\n");
}

function settingsSentence(results: AnyResults): string {
  const { steps, seeds } = results;
  const all = `${formatCount(steps)} steps, seeds ${seeds.join(", ")}`;
  if (isProbes(results)) return `${all}; a window of ${results.window} tokens.`;
  const { text, machine } = results;
  const share = `${formatCount(text.trainTokens)} characters of ${text.title} to train on, the next ${formatCount(text.valTokens)} held out`;
  return `${all}; ${share}. Trained on ${machine.device} with ${machine.threads} ${machine.threads === 1 ? "thread" : "threads"} a run, libtorch ${machine.libtorch}.`;
}

/** The part of a page that a marker names, or null where the study has none. */
function partNamed(results: AnyResults, part: string): string | null {
  switch (part) {
    case "table":
      return markdownTable(isProbes(results) ? probeTable(results) : studyTable(results));
    case "settings":
      return settingsSentence(results);
    case "verdict":
      return isProbes(results) ? null : verdictSentence(results);
    default:
      throw new Error(`a page's marker names "${part}": expected table, settings or verdict`);
  }
}

const MARKED = /(<!-- results: (\S+) (\S+) -->\n)[\s\S]*?(<!-- end -->)/g;

/**
 * A page with what stands between its markers (`<!-- results: STUDY PART -->` to `<!-- end -->`) made
 * anew from results; what belongs to a study that is not among them stays.
 */
export function fillResults(page: string, all: readonly AnyResults[]): string {
  return page.replace(MARKED, (found, start: string, study: string, part: string, end: string) => {
    const results = all.find((one) => one.study === study);
    const made = results === undefined ? null : partNamed(results, part);
    return made === null ? found : `${start}${made}\n${end}`;
  });
}

/** A study's charts as images for a page, by the names of their files. */
export function figures(results: AnyResults): Map<string, string> {
  const charts: readonly Chart[] = isProbes(results) ? probeCharts(results) : studyCharts(results);
  return new Map(charts.map((chart) => [`${results.study}-${chart.id}.svg`, chartSvg(chart)]));
}
