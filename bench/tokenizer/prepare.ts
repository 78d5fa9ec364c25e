import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { packageRoot } from "../../lib/package-root.js";
import { takeTurns } from "../pairs/turns.js";
import type { BenchText } from "./texts.js";

/** How often the text is prepared at a time, each time as a document of its own. */
const DOCUMENTS = 16;

export interface PrepareResult {
  readonly text: string;
  readonly megabytes: number;
  readonly workers: readonly number[];
  /** Seconds by number of workers, by round; the start of the program among them. */
  readonly seconds: readonly (readonly number[])[];
}

/** Times `wavegpt prepare` by the number of its workers. */
export async function measurePrepare(
  { name, file, megabytes }: BenchText,
  workers: readonly number[],
  quick: boolean,
): Promise<PrepareResult> {
  const documents = quick ? 1 : DOCUMENTS;
  const sources = Array.from({ length: documents }, () => file);
  const program = path.join(packageRoot(), "bin", "wavegpt.js");
  const measured = await takeTurns(workers.map(String), quick ? 1 : 5, async (count) => {
    const folder = mkdtempSync(path.join(tmpdir(), "wavegpt-bench-"));
    try {
      const flags = ["--out", folder, "--overwrite", "--workers", count];
      const begun = performance.now();
      const { status, stderr } = spawnSync(
        process.execPath,
        [program, "prepare", ...sources, ...flags],
        { encoding: "utf8" },
      );
      if (status !== 0) throw new Error(`wavegpt prepare: ${stderr}`);
      return (performance.now() - begun) / 1000;
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
  return {
    ...{ text: name, megabytes: documents * megabytes, workers },
    seconds: workers.map((count) => measured[String(count)]!),
  };
}
