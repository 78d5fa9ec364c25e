import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { resolveSettings, type SettingSources } from "../config/resolve.js";
import { resumeSettings } from "../config/resume.js";
import type { Settings, SettingsInput } from "../config/settings.js";
import { checkTokenizerFile, tokenizerPath } from "../config/tokenizer.js";
import { UsageError } from "../config/usage-error.js";
import { datasetNamed, preparedFolder } from "../data/prepared-folder.js";
import { type RunConfig, readRunConfig } from "../run/config.js";
import {
  checkRunFolder,
  type ExistingRun,
  freshRunPath,
  type RunFolder,
  runFolder,
} from "../run/folder.js";
import { profileFile } from "../run/profile-file.js";

/** What is settled before anything is computed: the settings and the folder, neither touched yet. */
export interface OpenedRun {
  readonly preset: string;
  readonly settings: Settings;
  readonly folder: RunFolder;
  /** The file for a profile of a few steps, or null where none is asked for. */
  readonly profile: string | null;
  /** The run to go on with, or null for a new one. */
  readonly resumed: { readonly config: RunConfig; readonly tokenizer: string } | null;
}

/**
 * Resolves a run's settings and checks its folder; needs no libtorch.
 * @throws UsageError
 */
export function openRun(
  given: SettingsInput,
  options: {
    readonly preset?: string | undefined;
    readonly config?: string | undefined;
    readonly out?: string | undefined;
    readonly existing: ExistingRun;
    readonly profile?: string | true | undefined;
  },
): OpenedRun {
  const { preset, config, out, existing, profile: file } = options;
  const sources: SettingSources = { preset, config, settings: given };
  if (existing !== "resume") {
    const resolved = resolveSettings(sources);
    const { preset, settings } = resolved;
    const folder = checkRunFolder(out ?? freshRunPath(settings.model), existing);
    const profile = profileFile(file, folder);
    checkTokenizerFile(settings.tokenizer);
    return { preset, settings: withPath(settings, settings.data), folder, profile, resumed: null };
  }
  if (out === undefined) {
    throw new UsageError("--resume: say which run to go on with: --resume DIR.");
  }
  const folder = checkRunFolder(out, existing);
  const stored = readRunConfig(folder.config);
  const resolved = resumeSettings(stored, sources);
  // The text is where it was when the run began, unless a place is given now.
  const { data } = resolved.settings;
  const same = data === stored.settings.data && existsSync(stored.text.path);
  return {
    preset: resolved.preset,
    settings: withPath(resolved.settings, same ? stored.text.path : data),
    folder,
    profile: profileFile(file, folder),
    resumed: { config: stored, tokenizer: runFolder(out).tokenizer },
  };
}

/**
 * Settings whose text and tokenizer are found from any working folder.
 * @throws UsageError where a dataset is named that is not prepared
 */
function withPath(settings: Settings, data: string | undefined): Settings {
  const tokenizer = tokenizerPath(settings.tokenizer);
  const named = { ...settings, tokenizer };
  return data === undefined ? named : { ...named, data: resolve(locateData(data)) };
}

/** A file or folder as it is; a dataset's name stands for the folder where `wavegpt prepare` puts it. */
function locateData(data: string): string {
  if (existsSync(data) || datasetNamed(data) === null) return data;
  const folder = preparedFolder(data);
  if (existsSync(folder)) return folder;
  const some = data === "openwebtext" ? " --documents 250000" : "";
  throw new UsageError(
    `--data: ${data} is not prepared yet: there is no folder ${folder}. Make it with \`wavegpt prepare ${data}${some}\`, or name a folder or file that is there.`,
  );
}
