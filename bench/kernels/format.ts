import { formatSpread, ratiosOf, spreadOf } from "../pairs/spread.js";
import { table } from "../table.js";
import { FORMS, type KernelReport } from "./bench.js";

const TITLES = { fused: "ours ms", composed: "composed ms", "PyTorch eager": "eager ms" } as const;

export function kernelTable({ results }: KernelReport): string {
  const rows = results.map(({ name, dtype, milliseconds }) => {
    const ours = milliseconds.fused;
    const ratio = (theirs: readonly number[] | undefined) =>
      ours === undefined || theirs === undefined ? "" : formatSpread(ratiosOf(ours, theirs), 2);
    return [
      `\`${name}\` ${dtype}`,
      ...FORMS.map((form) => {
        const times = milliseconds[form];
        return times === undefined ? "not in this build" : spreadOf(times).median.toFixed(3);
      }),
      ratio(milliseconds.composed),
      ratio(milliseconds["PyTorch eager"]),
    ];
  });
  return table(
    ["case", ...FORMS.map((form) => TITLES[form]), "ours / composed", "ours / eager"],
    rows,
  );
}

export function formatKernels(report: KernelReport): string {
  const { threads, rounds, versions } = report;
  return [
    `## What each kernel takes\n`,
    `Forward and backward at the preset's sizes, ${threads} threads, ${rounds} rounds in turns; libtorch ${versions.libtorch} in all, Python ${versions.python}. Composed: the same by libtorch's operators, in the same process as ours. Milliseconds (median); ratios: ours as a share, median (quartiles).\n`,
    kernelTable(report),
  ].join("\n");
}
