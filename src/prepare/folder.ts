import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { UsageError } from "../config/usage-error.js";
import { MANIFEST } from "../data/manifest.js";
import { writing } from "../run/failure.js";
import { type Progress, readProgress } from "./progress.js";

const OWN = /^((manifest|tokenizer|progress)\.json|\.lock|(train|val)-\d+\.npy)$/;
/** What a process leaves that is killed while it replaces a file (`writeFileAtomic`). */
const LEFT = /^\.(manifest|tokenizer|progress)\.json\.\d+\.tmp$/;

function difference(then: Progress["plan"], now: Progress["plan"]): string | null {
  for (const key of Object.keys(now)) {
    const [a, b] = [
      JSON.parse(JSON.stringify(then[key] ?? null)),
      JSON.parse(JSON.stringify(now[key] ?? null)),
    ];
    if (isDeepStrictEqual(a, b)) continue;
    if (key === "files") return "the files to be read are not the same, or were changed since";
    return `${key} was ${JSON.stringify(a)} then and is ${JSON.stringify(b)} now`;
  }
  return null;
}

/**
 * Makes the folder where it is missing.
 * @throws UsageError where it holds what is not ours
 */
export function makeFolder(out: string): void {
  writing(out, () => mkdirSync(out, { recursive: true }));
  const foreign = writing(out, () => readdirSync(out)).find(
    (name) => !OWN.test(name) && !LEFT.test(name),
  );
  if (foreign !== undefined) {
    throw new UsageError(
      `--out: ${out} holds ${foreign}, which \`wavegpt prepare\` did not write, so nothing in it was touched. Choose another folder.`,
    );
  }
}

/**
 * Finds out where to go on in a folder that {@link makeFolder} made and this process has locked.
 * @returns null to begin, `"finished"` where nothing is left to do
 * @throws UsageError where what it holds is not to be touched
 */
export function openFolder(
  out: string,
  plan: Progress["plan"],
  { resume, overwrite }: { readonly resume: boolean; readonly overwrite: boolean },
): Progress | "finished" | null {
  const finished = existsSync(join(out, MANIFEST));
  const remove = (gone: (name: string) => boolean) => {
    for (const name of readdirSync(out).filter(gone)) rmSync(join(out, name), { force: true });
  };
  remove((name) => LEFT.test(name));
  if (overwrite) {
    remove((name) => name !== ".lock");
    return null;
  }
  if (finished) {
    if (resume) return "finished";
    throw new UsageError(
      `--out: ${out} holds prepared text already. Replace it with --overwrite, or choose another folder.`,
    );
  }
  const progress = readProgress(out);
  if (progress === null) return null;
  if (!resume) {
    throw new UsageError(
      `--out: the preparation in ${out} is not finished. Go on with --resume, or begin anew with --overwrite.`,
    );
  }
  const changed = difference(progress.plan, plan);
  if (changed !== null) {
    throw new UsageError(
      `--resume: ${changed}. Begin anew with --overwrite, or choose another folder.`,
    );
  }
  return progress;
}
