import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { checkSettings, type ResolvedSettings, resolveSettings } from "./config/resolve.js";
import { resumeSettings } from "./config/resume.js";
import type { Settings, SettingsInput } from "./config/settings.js";
import { UsageError } from "./config/usage-error.js";
import { type RunSummary, writeReport } from "./report/index.js";
import { writeFileAtomic } from "./run/atomic.js";
import { checkComparisonFolder, freshRunPath, holdsRun, prepareFolder } from "./run/folder.js";
import { type TrainEvent, train } from "./train.js";

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

export interface CompareOptions {
  readonly preset?: string | undefined;
  readonly config?: string | undefined;
  /** Each model is trained with each of these. Default: the settings' seed alone. */
  readonly seeds?: readonly number[] | undefined;
  /** The comparison's folder, with a run's folder each inside. Default: a new one in `runs/`. */
  readonly out?: string | undefined;
  /** Go on with the comparison in `out`: finished runs stay, interrupted ones are resumed. */
  readonly resume?: boolean;
  /** Replace the comparison in `out`. */
  readonly overwrite?: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly onEvent?: ((event: CompareEvent) => void) | undefined;
}

export interface CompareResult {
  readonly out: string;
  /** False where it was interrupted. */
  readonly finished: boolean;
  readonly report: string;
  readonly summaries: readonly RunSummary[];
}

/** `compare.json`: what is needed to go on with a comparison. */
interface Comparison extends ResolvedSettings {
  readonly seeds: readonly number[];
}

function readComparison(path: string): Comparison {
  try {
    const stored = JSON.parse(readFileSync(path, "utf8")) as Comparison;
    return { ...stored, settings: checkSettings({ ...stored.settings }) };
  } catch (error) {
    throw new UsageError(`--resume: cannot read ${path}: ${(error as Error).message}`);
  }
}

function plan(given: SettingsInput, options: CompareOptions): Comparison & { out: string } {
  const { preset, config } = options;
  const sources = { preset, config, settings: given };
  if (!options.resume) {
    const resolved = resolveSettings(sources);
    const seeds = options.seeds ?? [resolved.settings.seed];
    return { ...resolved, seeds, out: resolve(options.out ?? freshRunPath("compare")) };
  }
  if (options.out === undefined) {
    throw new UsageError("--resume: say which comparison to go on with: --resume DIR.");
  }
  const out = resolve(options.out);
  const path = join(out, "compare.json");
  if (!existsSync(path)) {
    throw new UsageError(
      `--resume: ${options.out} holds no comparison: expected a folder with a compare.json that \`wavegpt compare\` wrote.`,
    );
  }
  const stored = readComparison(path);
  return { ...resumeSettings(stored, sources), seeds: options.seeds ?? stored.seeds, out };
}

/**
 * Trains GPT and WaveGPT alike: same text, settings, seeds and order of the data. Writes a run's folder
 * for each and one report about all.
 *
 * @throws UsageError for settings, seeds or a folder that cannot be used
 * @throws WaveGPTError as {@link train}
 */
export async function compare(
  given: SettingsInput = {},
  options: CompareOptions = {},
): Promise<CompareResult> {
  const emit = options.onEvent ?? (() => {});
  const { preset, settings, seeds, out } = plan(given, options);
  if (new Set(seeds).size !== seeds.length || seeds.length === 0) {
    throw new UsageError(
      `--seeds: expected different whole numbers, got ${seeds.join(",") || "none"}.`,
    );
  }
  if (!options.resume) checkComparisonFolder(options.out ?? out, options.overwrite ?? false);
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
  const begun = runs.map((run) => run.out).filter(holdsRun);
  return { out, finished, report, summaries: writeReport(begun, report) };
}
