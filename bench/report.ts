import { readFileSync } from "node:fs";
import { describeMachine, type Machine } from "./machine.js";
import { PARTS, type Part } from "./options.js";
import { MEASURED } from "./parts.js";
import type { ProfileReport } from "./profile/bench.js";
import { workTable } from "./profile/format.js";
import type { Sampled } from "./profile/sampled.js";

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
