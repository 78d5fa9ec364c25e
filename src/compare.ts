import { join } from "node:path";
import type { Settings, SettingsInput } from "./config/settings.js";
import { type RunSummary, writeReport } from "./report/index.js";
import { writeFileAtomic } from "./run/atomic.js";
import { holdsRun, prepareFolder, runFolder } from "./run/folder.js";
import { readMetrics } from "./run/metrics.js";
import { type TrainEvent, train } from "./train.js";
import { type Comparison, type ComparisonSources, planComparison } from "./training/comparison.js";

/** The models compared, in the order in which they are trained. */
export const COMPARED_MODELS = ["gpt", "wavegpt"] as const satisfies Settings["model"][];

export type CompareEvent =
  | {
      readonly type: "run";
      readonly model: Settings["model"];
      readonly seed: number;
      readonly out: string;
      readonly index: number;
      readonly count: number;
    }
  | TrainEvent;

export interface CompareOptions extends ComparisonSources {
  readonly signal?: AbortSignal | undefined;
  readonly onEvent?: ((event: CompareEvent) => void) | undefined;
}

export interface CompareResult {
  readonly out: string;
  /** False where it was interrupted. */
  readonly finished: boolean;
  /** The page, or null where nothing was computed yet. */
  readonly report: string | null;
  readonly summaries: readonly RunSummary[];
}

/**
 * Trains GPT and WaveGPT alike: same text, settings and seeds; rows run on through the text for a causal WaveNet, and
 * are shuffled for GPT, unless `order` says otherwise. Writes a run's folder for each and one report about all.
 *
 * @throws UsageError for settings, seeds or a folder that cannot be used
 * @throws WaveGPTError as {@link train}
 */
export async function compare(
  given: SettingsInput = {},
  options: CompareOptions = {},
): Promise<CompareResult> {
  const emit = options.onEvent ?? (() => {});
  const { preset, settings, seeds, out } = planComparison(given, options);
  const runs = seeds.flatMap((seed) =>
    COMPARED_MODELS.map((model) => ({ model, seed, out: join(out, `${model}-seed-${seed}`) })),
  );
  prepareFolder(out);
  writeFileAtomic(
    join(out, "compare.json"),
    `${JSON.stringify({ preset, settings, seeds } satisfies Comparison, null, 2)}\n`,
  );

  let finished = true;
  for (const [index, { model, seed, out: folder }] of runs.entries()) {
    emit({ type: "run", model, seed, out: folder, index, count: runs.length });
    const resume = options.resume === true && holdsRun(folder);
    const result = await train(
      { ...settings, model, seed },
      {
        preset,
        out: folder,
        resume,
        overwrite: options.overwrite ?? false,
        signal: options.signal,
        onEvent: emit,
      },
    );
    finished = result.finished;
    if (!finished) break;
  }

  const report = join(out, "report.html");
  // A run stopped before its first evaluation has nothing to show yet.
  const begun = runs
    .map((run) => run.out)
    .filter((folder) => readMetrics(runFolder(folder).metrics).length > 0);
  const summaries = begun.length > 0 ? writeReport(begun, report) : [];
  return { out, finished, report: begun.length > 0 ? report : null, summaries };
}
