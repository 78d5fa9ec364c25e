import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { checkSettings, type ResolvedSettings, resolveSettings } from "../config/resolve.js";
import { resumeSettings } from "../config/resume.js";
import {
  describeSettings,
  flagOf,
  type SettingGroup,
  type SettingName,
  type Settings,
  type SettingsInput,
} from "../config/settings.js";
import { UsageError } from "../config/usage-error.js";
import { checkComparisonFolder, freshRunPath } from "../run/folder.js";
import type { ComparisonSources } from "../training/comparison.js";
import { ARM_SETTINGS, type Arm, STUDIES, type Study } from "./arms.js";

/** Where a study's settings come from. */
export interface StudySources extends ComparisonSources {
  /** Which study; on resumption the folder says so. */
  readonly study?: string | undefined;
  /** The arms to run, by their ids. Default: all of the study's. */
  readonly arms?: readonly string[] | undefined;
}

/** `compare.json` of a study: what is needed to go on with it. */
export interface StoredStudy extends ResolvedSettings {
  readonly study: string;
  readonly arms: readonly string[];
  readonly seeds: readonly number[];
}

/** A study that is about to run or to go on. */
export interface StudyPlan extends ResolvedSettings {
  readonly study: Study;
  readonly arms: readonly Arm[];
  readonly seeds: readonly number[];
  /** The folder, absolute. */
  readonly out: string;
}

/** The least for an interval that is worth giving. */
const SEEDS = [1, 2, 3];

/** What may change from one part of a study to the next: how long, what is told, where it computes. */
const MAY_CHANGE: readonly SettingName[] = ["steps", "epochs", "data"];
const GROUPS_THAT_MAY_CHANGE: readonly SettingGroup[] = ["Reports", "Machine"];

/** Finished runs are kept, so the others must learn as they did. */
function requireAlike(stored: Settings, now: Settings): void {
  const changed = describeSettings().filter(
    ({ name, group }) =>
      !MAY_CHANGE.includes(name) &&
      !GROUPS_THAT_MAY_CHANGE.includes(group) &&
      JSON.stringify(stored[name]) !== JSON.stringify(now[name]),
  );
  if (changed.length === 0) return;
  const list = changed.map(
    ({ name, flag }) =>
      `${flag} (it has ${JSON.stringify(stored[name]) ?? "its default"}, got ${JSON.stringify(now[name])})`,
  );
  throw new UsageError(`--resume: a study cannot go on with another ${list.join(", ")}.`);
}

/** The study whose folder this is, or null where it holds none. */
export function storedStudy(folder: string): StoredStudy | null {
  const path = join(folder, "compare.json");
  if (!existsSync(path)) return null;
  try {
    const stored = JSON.parse(readFileSync(path, "utf8")) as StoredStudy;
    if (stored.study === undefined) return null;
    return { ...stored, settings: checkSettings({ ...stored.settings }) };
  } catch (error) {
    throw new UsageError(`--resume: cannot read ${path}: ${(error as Error).message}`);
  }
}

function studyNamed(name: string): Study {
  const study = STUDIES.find((one) => one.name === name);
  if (study) return study;
  const names = STUDIES.map((one) => one.name).join(", ");
  throw new UsageError(`--study: expected one of ${names}, got ${JSON.stringify(name)}.`);
}

function armsNamed(study: Study, ids: readonly string[]): Arm[] {
  const known = study.arms.map((arm) => arm.id);
  for (const id of ids) {
    if (!known.includes(id)) {
      throw new UsageError(
        `--arms: the study ${study.name} has ${known.join(", ")}; got ${JSON.stringify(id)}.`,
      );
    }
  }
  // In the study's own order, and each once.
  return study.arms.filter((arm) => ids.includes(arm.id));
}

/**
 * Resolves a study's settings, arms, seeds and folder; touches nothing and needs no libtorch.
 * @throws UsageError
 */
export function planStudy(given: SettingsInput, options: StudySources): StudyPlan {
  const set = ARM_SETTINGS.filter((name) => given[name] !== undefined);
  if (set.length > 0) {
    throw new UsageError(
      `--study: each arm sets ${set.map(flagOf).join(", ")} itself; leave ${set.length > 1 ? "them" : "it"} out.`,
    );
  }
  const plan = options.resume ? resumedPlan(given, options) : newPlan(given, options);
  const { seeds } = plan;
  if (new Set(seeds).size !== seeds.length || seeds.length === 0) {
    throw new UsageError(
      `--seeds: expected different whole numbers, got ${seeds.join(",") || "none"}.`,
    );
  }
  // Runs in other processes, and a resumption from another folder, find the text where it is.
  const { data } = plan.settings;
  return data === undefined
    ? plan
    : { ...plan, settings: { ...plan.settings, data: resolve(data) } };
}

function newPlan(given: SettingsInput, options: StudySources): StudyPlan {
  const { preset, config, seeds = SEEDS, arms, out, overwrite = false } = options;
  const study = studyNamed(options.study ?? "");
  const resolved = resolveSettings({ preset, defaults: study.settings, config, settings: given });
  const path = out ?? freshRunPath(`study-${study.name}`);
  checkComparisonFolder(path, overwrite);
  const chosen = arms === undefined ? study.arms : armsNamed(study, arms);
  return { ...resolved, study, arms: chosen, seeds, out: resolve(path) };
}

function resumedPlan(given: SettingsInput, options: StudySources): StudyPlan {
  const { preset, config, out } = options;
  if (out === undefined) {
    throw new UsageError("--resume: say which study to go on with: --resume DIR.");
  }
  const stored = storedStudy(out);
  if (stored === null) {
    throw new UsageError(
      `--resume: ${out} holds no study: expected a folder with a compare.json that \`wavegpt compare --study\` wrote.`,
    );
  }
  if (options.study !== undefined && options.study !== stored.study) {
    throw new UsageError(
      `--study: ${out} holds the study ${stored.study}, got ${JSON.stringify(options.study)}.`,
    );
  }
  const study = studyNamed(stored.study);
  const resolved = resumeSettings(stored, { preset, config, settings: given });
  requireAlike(stored.settings, resolved.settings);
  return {
    ...resolved,
    study,
    arms: armsNamed(study, options.arms ?? stored.arms),
    seeds: options.seeds ?? stored.seeds,
    out: resolve(out),
  };
}
