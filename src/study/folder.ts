import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { writing } from "../run/failure.js";

/** A run's folder, or the file of a probe. */
const RUN = /-seed-\d+(\.json)?$/;
const OWN_FILES = ["results.json", "timing.json", "report.html"];

/**
 * Removes what a study (or a comparison) left in a folder that holds one, so that nothing of it can be
 * taken for a part of the next.
 * @throws WaveGPTError ERR_WAVEGPT_WRITE
 */
export function clearStudy(folder: string): void {
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder)) {
    if (!RUN.test(name) && !OWN_FILES.includes(name)) continue;
    const path = join(folder, name);
    writing(path, () => rmSync(path, { recursive: true, force: true }));
  }
}
