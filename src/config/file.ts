import { readFileSync } from "node:fs";
import { extname } from "node:path";
import { parse as parseToml } from "smol-toml";
import { nearest } from "./nearest.js";
import { type SettingName, settingsSchema } from "./settings.js";
import { UsageError } from "./usage-error.js";

/** What a configuration file says: settings not checked yet, and the preset it builds on. */
export interface FileSettings {
  readonly preset: string | undefined;
  readonly settings: Readonly<Record<string, unknown>>;
}

const names = Object.keys(settingsSchema.shape) as SettingName[];

function plainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** `batch-size` and `batch_size` -> `batchSize`. */
function camelCase(key: string): string {
  return key.replace(/[-_]([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

function parse(path: string, text: string): unknown {
  const extension = extname(path).toLowerCase();
  if (extension !== ".toml" && extension !== ".json") {
    throw new UsageError(`--config: expected a .toml or .json file, got ${path}.`);
  }
  try {
    return extension === ".toml" ? parseToml(text) : JSON.parse(text);
  } catch (error) {
    throw new UsageError(
      `--config: ${path} is not valid ${extension.slice(1).toUpperCase()}: ${(error as Error).message.trim()}`,
    );
  }
}

/**
 * Reads a TOML or JSON configuration file. A run's own `config.json` is one too: it repeats the run.
 * @throws UsageError where the file is missing, malformed, or has a key that is no setting.
 */
export function readConfigFile(path: string): FileSettings {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new UsageError(
      `--config: cannot read ${path}: ${code === "ENOENT" ? "there is no such file" : code === "EISDIR" ? "it is a folder" : (error as Error).message}.`,
    );
  }
  let content = parse(path, text);
  // A run's config.json holds its settings beside what it found out about model and data.
  if (plainObject(content) && plainObject(content.settings) && "model_type" in content) {
    content = { ...content.settings, preset: content.preset };
  }
  if (!plainObject(content)) {
    throw new UsageError(`--config: ${path}: expected an object of settings at the top level.`);
  }
  const settings: Record<string, unknown> = {};
  let preset: string | undefined;
  for (const [key, value] of Object.entries(content)) {
    const name = camelCase(key);
    if (name === "preset") {
      if (value === undefined || value === null) continue;
      if (typeof value !== "string") {
        throw new UsageError(
          `--config: ${path}: preset: expected a name, got ${JSON.stringify(value)}.`,
        );
      }
      preset = value;
    } else if (!(names as string[]).includes(name)) {
      const meant = nearest(name, [...names, "preset"]);
      throw new UsageError(
        `--config: ${path}: unknown setting ${JSON.stringify(key)}${meant ? `; did you mean ${JSON.stringify(meant)}?` : "."} \`wavegpt train --help\` lists all settings.`,
      );
    } else if (name in settings) {
      throw new UsageError(`--config: ${path}: ${name} is set twice, under different spellings.`);
    } else {
      settings[name] = value;
    }
  }
  return { preset, settings };
}
