import { existsSync } from "node:fs";
import { join } from "node:path";

/** The hub's name of the dataset that `openwebtext` stands for. */
const OPENWEBTEXT = "Skylion007/openwebtext";

/** The hub's dataset that a name stands for, or null where it is none: `openwebtext`, or `owner/name`. */
export function datasetNamed(name: string): string | null {
  if (name === "openwebtext") return OPENWEBTEXT;
  return /^[\w.-]+\/[\w.-]+$/.test(name) && !name.startsWith(".") && !existsSync(name)
    ? name
    : null;
}

/** Where a source is prepared unless told otherwise: in `WAVEGPT_DATA_DIR`, or `data/` in the working folder. */
export function preparedFolder(name: string): string {
  const root = process.env.WAVEGPT_DATA_DIR || "data";
  return join(root, name.replaceAll("/", "--"));
}
