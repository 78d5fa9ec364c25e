import { readFileSync, writeFileSync } from "node:fs";
import type { KernelReport } from "./kernels/bench.js";
import { kernelTable } from "./kernels/format.js";
import type { LoaderReport } from "./loader/bench.js";
import { coldTable, loaderTable } from "./loader/format.js";
import { describeMachine, type Machine } from "./machine.js";
import { PARTS, type Part } from "./options.js";
import { MEASURED } from "./parts.js";
import type { ProfileReport, ProfileResult } from "./profile/bench.js";
import { outsideTable, workTable } from "./profile/format.js";
import type { Sampled } from "./profile/sampled.js";
import type { ScalingReport } from "./scaling/bench.js";
import { sizesTable, threadsTable } from "./scaling/format.js";
import type { StepReport } from "./step/bench.js";
import { bestTable, stepTable } from "./step/format.js";
import type { TokenizerReport } from "./tokenizer/bench.js";
import * as tokenizerTables from "./tokenizer/format.js";
import type { WaitingReport } from "./waiting/bench.js";
import { waitingTable } from "./waiting/format.js";

/** What `--json FILE` writes. */
export interface Saved extends Partial<Record<Part, unknown>> {
  readonly date: string;
  readonly machine: Machine;
}

/** @throws Error naming the file, where it is none of ours */
function read(file: string): Saved {
  const saved = JSON.parse(readFileSync(file, "utf8")) as Partial<Saved>;
  if (saved.date === undefined || saved.machine === undefined) {
    throw new Error(`${file}: expected a file that npm run bench -- --json FILE wrote`);
  }
  return saved as Saved;
}

/** Our own side of each training that all of the files have a profile of, one column a file. */
function profilesBeside(files: readonly string[], saved: readonly Saved[]): string[] {
  const profiles = saved.map((one) => (one.profile as ProfileReport | undefined)?.results ?? []);
  return profiles[0]!.flatMap(({ name }) => {
    const columns = new Map<string, Sampled>();
    for (const [at, results] of profiles.entries()) {
      const sampled = results.find((one) => one.name === name)?.sampled.TypeScript;
      if (sampled !== undefined) columns.set(files[at]!, sampled);
    }
    return columns.size === files.length ? [`### ${name}\n\n${workTable(columns)}\n`] : [];
  });
}

/** The tables of one file, or the profiles of several beside each other. */
export function formatSaved(files: readonly string[]): string {
  if (files.length === 0) throw new Error("report: expected the name of at least one file");
  const saved = files.map(read);
  if (saved.length > 1) return profilesBeside(files, saved).join("\n");
  const [only] = saved as [Saved];
  return [
    `${only.date}, ${describeMachine(only.machine)}\n`,
    ...PARTS.flatMap((name) =>
      only[name] === undefined ? [] : [`${MEASURED[name].format(only[name])}\n`],
    ),
  ].join("\n");
}

/** What each part is in the newest of the files that has it; of steps and profiles, each training by itself. */
interface Newest {
  readonly step?: StepReport;
  readonly kernels?: KernelReport;
  readonly scaling?: ScalingReport;
  readonly waiting?: WaitingReport;
  readonly loader?: LoaderReport;
  readonly tokenizer?: TokenizerReport;
  readonly profile?: ProfileReport;
  /** The profile of the first file that has one, where there are several. */
  readonly before?: ProfileReport;
}

function beforeAndAfter(before: ProfileResult, after: ProfileResult): string {
  const columns = [
    ["before", before.sampled.TypeScript],
    ["after", after.sampled.TypeScript],
    ["PyTorch eager", after.sampled["PyTorch eager"]],
  ] as const;
  return workTable(
    new Map(columns.filter((column): column is [(typeof column)[0], Sampled] => column[1] != null)),
  );
}

/** A table by its name in a marker, or null where nothing was measured for it. */
function tableNamed(name: string, newest: Newest) {
  const { step, kernels, scaling, waiting, loader, tokenizer, profile, before } = newest;
  const [kind, ...words] = name.split(" ");
  switch (kind) {
    case "step":
      return step === undefined ? null : stepTable(step.results);
    case "best":
      return step === undefined ? null : bestTable(step.results);
    case "kernels":
      return kernels === undefined ? null : kernelTable(kernels);
    case "threads":
      return scaling === undefined ? null : threadsTable(scaling);
    case "sizes":
      return scaling === undefined ? null : sizesTable(scaling);
    case "waiting":
      return waiting === undefined ? null : waitingTable(waiting);
    case "loader":
      return loader === undefined ? null : loaderTable(loader);
    case "loader-cold":
      return loader === undefined ? null : coldTable(loader);
    case "tokenizer":
      return tokenizer === undefined ? null : tokenizerTables.encodeTable(tokenizer);
    case "tokenizer-threads":
      return tokenizer === undefined ? null : tokenizerTables.threadsTable(tokenizer);
    case "prepare": {
      const prepare = tokenizer?.prepare ?? null;
      return prepare === null ? null : tokenizerTables.prepareTable(prepare);
    }
    case "outside":
      return profile === undefined ? null : outsideTable(profile.results);
    case "profile": {
      const of = (report: ProfileReport | undefined) =>
        report?.results.find((result) => result.name === words.join(" "));
      const [first, last] = [of(before), of(profile)];
      return first === undefined || last === undefined ? null : beforeAndAfter(first, last);
    }
    default:
      throw new Error(`there is no table ${name}`);
  }
}

const MARKED = /(<!-- bench: (.+?) -->\n)[\s\S]*?(\n<!-- end -->)/g;

/** The reports of one part as one: each training as the last of them has it, in the order of the first. */
function together<Report extends { readonly results: readonly { readonly name: string }[] }>(
  reports: readonly (Report | undefined)[],
): Report | undefined {
  const known = reports.filter((report) => report !== undefined);
  const results = new Map(known.flatMap((report) => report.results.map((one) => [one.name, one])));
  const last = known.at(-1);
  return last && { ...last, results: [...results.values()] };
}

/** A page with the tables between its markers made anew; those that were not measured stay. */
export function fillPage(page: string, saved: readonly Saved[]): string {
  const profiles = saved.flatMap((one) => (one.profile as ProfileReport | undefined) ?? []);
  const [before] = profiles;
  const step = together(saved.map((one) => one.step as StepReport | undefined));
  const profile = together(profiles);
  const newest = {
    ...(Object.assign({}, ...saved) as Newest),
    ...(step && { step }),
    ...(profile && { profile }),
    ...(before && profiles.length > 1 && { before }),
  };
  return page.replace(MARKED, (found, start: string, name: string, end: string) => {
    const made = tableNamed(name, newest);
    return made === null ? found : `${start}${made}${end}`;
  });
}

/** Puts the tables of files, the oldest first, into a page. */
export function fillFile(file: string, files: readonly string[]): void {
  writeFileSync(file, fillPage(readFileSync(file, "utf8"), files.map(read)));
}
