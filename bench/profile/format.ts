import type { Side } from "../step/sides.js";
import { table } from "../table.js";
import type { ProfileReport, ProfileResult } from "./bench.js";
import { OWNERS } from "./places.js";
import type { Sampled } from "./sampled.js";

/** The goal for what neither libtorch nor our kernels do, as a share of the step. */
const GOAL = 0.03;
/** How many rows of native calls and of work are shown. */
const SHOWN = 16;
/** CPU milliseconds a step under which work is not shown, as a share of the whole. */
const LEAST = 0.005;

const percent = (share: number) => `${(100 * share).toFixed(1)} %`;

function nativeTable({ milliseconds, uses }: ProfileResult): string {
  const rows = uses
    .slice(0, SHOWN)
    .map((use) => [
      `\`${use.name}\``,
      use.calls.toFixed(0),
      use.milliseconds.toFixed(3),
      percent(use.milliseconds / milliseconds),
    ]);
  const rest = uses.slice(SHOWN);
  const sum = (key: "calls" | "milliseconds") => rest.reduce((total, use) => total + use[key], 0);
  rows.push([
    `${rest.length} others`,
    sum("calls").toFixed(0),
    sum("milliseconds").toFixed(3),
    percent(sum("milliseconds") / milliseconds),
  ]);
  return table(["native call", "calls/step", "ms/step", "of the step"], rows);
}

/** What each column's steps spend their CPU time on, e.g. our side and PyTorch's, or before and after a change. */
export function workTable(columns: ReadonlyMap<string, Sampled>): string {
  const total = ({ works }: Sampled) =>
    works.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
  const longest = new Map<string, number>();
  for (const sampled of columns.values()) {
    for (const { work, milliseconds } of sampled.works) {
      const share = milliseconds / total(sampled);
      if (share >= LEAST) longest.set(work, Math.max(longest.get(work) ?? 0, milliseconds));
    }
  }
  const shown = [...longest].sort(([, a], [, b]) => b - a).map(([work]) => work);
  const cells = (sampled: Sampled, work: string) => {
    const found = sampled.works.find((one) => one.work === work);
    if (found === undefined) return "";
    const kernel = found.kernel / found.milliseconds >= 0.1 ? ` (${found.kernel.toFixed(1)})` : "";
    return `${found.milliseconds.toFixed(1)}${kernel}`;
  };
  const sides = [...columns.values()];
  const rest = (sampled: Sampled) =>
    sampled.works
      .filter(({ work }) => !shown.includes(work))
      .reduce((sum, { milliseconds }) => sum + milliseconds, 0);
  return table(
    ["CPU ms/step of all threads (in the kernel)", ...columns.keys()],
    [
      ...shown.map((work) => [work, ...sides.map((sampled) => cells(sampled, work))]),
      ["what is less than 0.5 %", ...sides.map((sampled) => rest(sampled).toFixed(1))],
      ["all", ...sides.map((sampled) => total(sampled).toFixed(1))],
      ["step (wall clock)", ...sides.map(({ step }) => step.toFixed(1))],
    ],
  );
}

function ownerTable(columns: ReadonlyMap<string, Sampled>): string {
  const sides = [...columns.values()];
  const owners = OWNERS.filter((owner) => sides.some(({ mainThread }) => mainThread[owner]));
  return table(
    ["CPU ms/step of the main thread", ...columns.keys()],
    owners.map((owner) => [
      owner,
      ...sides.map(({ mainThread }) => {
        const all = Object.values(mainThread).reduce((sum, one) => sum + one, 0);
        const own = mainThread[owner] ?? 0;
        return `${own.toFixed(2)} (${percent(own / all)})`;
      }),
    ]),
  );
}

/** What JavaScript, Node-API and the dispatch take of our steps. */
export function outsideTable(results: readonly ProfileResult[]): string {
  const rows = results.flatMap(({ name, sampled: { TypeScript: ours } }) => {
    if (ours === undefined) return [];
    const { step, mainThread, outside, outsideAtMost, nameless } = ours;
    const own = (owner: "JavaScript and Node" | "binding") => (mainThread[owner] ?? 0).toFixed(2);
    const reached = outside < GOAL ? "reached" : "not reached";
    return [
      [
        name,
        step.toFixed(1),
        own("JavaScript and Node"),
        nameless ? "no symbols" : own("binding"),
        percent(outside),
        percent(outsideAtMost),
        `${reached} (${percent(GOAL)})`,
      ],
    ];
  });
  return table(
    [
      "training",
      "ms/step",
      "JavaScript, Node ms",
      "binding ms",
      "outside",
      "with the C library",
      "goal",
    ],
    rows,
  );
}

function formatOne(result: ProfileResult): string {
  const { name, milliseconds, nativeMilliseconds, uses, sampled, withoutSamples } = result;
  const calls = uses.reduce((sum, use) => sum + use.calls, 0);
  const javascript = milliseconds - nativeMilliseconds;
  const parts = [
    `### ${name}\n`,
    `With a clock around each native call a step takes ${milliseconds.toFixed(1)} ms: ${nativeMilliseconds.toFixed(1)} ms inside ${calls.toFixed(0)} native calls, ${javascript.toFixed(2)} ms (${percent(javascript / milliseconds)}) in JavaScript, clocks included.\n`,
    nativeTable(result),
    "",
  ];
  if (withoutSamples !== null) return [...parts, `perf: ${withoutSamples}`].join("\n");
  const columns = new Map(Object.entries(sampled) as [Side, Sampled][]);
  parts.push(workTable(columns), "", ownerTable(columns), "");
  const ours = sampled.TypeScript;
  if (ours !== undefined) {
    const reached = ours.outside < GOAL ? "reached" : "not reached";
    parts.push(
      `Outside libtorch and our kernels (JavaScript, Node-API, dispatch): ${percent(ours.outside)} of the main thread's CPU time; at most ${percent(ours.outsideAtMost)}, with all of the C library's. Goal: under ${percent(GOAL)}, ${reached}.`,
    );
    if (ours.nameless) {
      parts.push(
        "The addon has no symbols, so our kernels would count as binding: it is not the one that npm run build:binding makes.",
      );
    }
  }
  return parts.join("\n");
}

export function formatProfile({ threads, results }: ProfileReport): string {
  return [
    `## Where a training step spends its time\n`,
    `${threads} threads. CPU time by perf, 1999 samples a second; what the operating system's kernel took (page faults, nearly all) counts where it was called from.\n`,
    ...results.map((result) => `${formatOne(result)}\n`),
  ].join("\n");
}
