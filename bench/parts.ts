import { measureKernels } from "./kernels/bench.js";
import { formatKernels } from "./kernels/format.js";
import { measureLoader } from "./loader/bench.js";
import { formatLoader } from "./loader/format.js";
import type { BenchOptions, Part } from "./options.js";
import { formatOverhead, measureOverhead } from "./overhead/bench.js";
import { profileSteps } from "./profile/bench.js";
import { formatProfile } from "./profile/format.js";
import { measureScaling } from "./scaling/bench.js";
import { formatScaling } from "./scaling/format.js";
import { measureSteps } from "./step/bench.js";
import { formatSteps } from "./step/format.js";
import { measureTokenizer } from "./tokenizer/bench.js";
import { formatTokenizer } from "./tokenizer/format.js";
import { measureWaiting } from "./waiting/bench.js";
import { formatWaiting } from "./waiting/format.js";

interface PartOf<Report> {
  readonly measure: (options: BenchOptions) => Promise<Report>;
  /** The report in Markdown. */
  readonly format: (report: Report) => string;
}

function part<Report>(
  measure: PartOf<Report>["measure"],
  format: PartOf<Report>["format"],
): PartOf<unknown> {
  return { measure, format: (report) => format(report as Report) };
}

/** What is measured, in this order, and how it is shown. */
export const MEASURED: Readonly<Record<Part, PartOf<unknown>>> = {
  overhead: part(measureOverhead, formatOverhead),
  step: part(measureSteps, formatSteps),
  kernels: part(measureKernels, formatKernels),
  scaling: part(measureScaling, formatScaling),
  waiting: part(measureWaiting, formatWaiting),
  loader: part(measureLoader, formatLoader),
  tokenizer: part(measureTokenizer, formatTokenizer),
  profile: part(profileSteps, formatProfile),
};
