import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { checkSettings, type ResolvedSettings, resolveSettings } from "../config/resolve.js";
import { resumeSettings } from "../config/resume.js";
import type { SettingsInput } from "../config/settings.js";
import { UsageError } from "../config/usage-error.js";
import { checkComparisonFolder, freshRunPath } from "../run/folder.js";

/** Where a comparison's settings come from. */
export interface ComparisonSources {
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
}

/** `compare.json`: what is needed to go on with a comparison. */
export interface Comparison extends ResolvedSettings {
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

/**
 * Resolves a comparison's settings, seeds and folder; touches nothing and needs no libtorch.
 * @throws UsageError
 */
export function planComparison(
  given: SettingsInput,
  options: ComparisonSources,
): Comparison & { out: string } {
  const plan = options.resume ? resumedPlan(given, options) : newPlan(given, options);
  const { seeds } = plan;
  if (new Set(seeds).size !== seeds.length || seeds.length === 0) {
    throw new UsageError(
      `--seeds: expected different whole numbers, got ${seeds.join(",") || "none"}.`,
    );
  }
  return plan;
}

function newPlan(
  given: SettingsInput,
  { preset, config, seeds, out, overwrite = false }: ComparisonSources,
): Comparison & { out: string } {
  const resolved = resolveSettings({ preset, config, settings: given });
  const path = out ?? freshRunPath("compare");
  checkComparisonFolder(path, overwrite);
  return { ...resolved, seeds: seeds ?? [resolved.settings.seed], out: resolve(path) };
}

function resumedPlan(
  given: SettingsInput,
  { preset, config, seeds, out }: ComparisonSources,
): Comparison & { out: string } {
  if (out === undefined) {
    throw new UsageError("--resume: say which comparison to go on with: --resume DIR.");
  }
  const path = join(out, "compare.json");
  if (!existsSync(path)) {
    throw new UsageError(
      `--resume: ${out} holds no comparison: expected a folder with a compare.json that \`wavegpt compare\` wrote.`,
    );
  }
  const stored = readComparison(path);
  const resolved = resumeSettings(stored, { preset, config, settings: given });
  return { ...resolved, seeds: seeds ?? stored.seeds, out: resolve(out) };
}
