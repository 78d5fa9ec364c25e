import { type Command, Option } from "commander";
import { resolveSettings } from "../config/resolve.js";
import {
  describeSettings,
  type SettingDescription,
  type SettingName,
  type Settings,
} from "../config/settings.js";
import { formatRate } from "../report/format.js";

/** Settings as given on the command line: not checked yet. */
export type GivenSettings = Partial<Record<SettingName, unknown>>;

/** Longer lists of choices stand in the description: beside the flag they would make the page too wide. */
const WIDEST_CHOICES = 30;

function placeholder({ choices, value, kind }: SettingDescription): string {
  const list = choices.join("|");
  if (list !== "") return list.length <= WIDEST_CHOICES ? list : "NAME";
  return value ?? (kind === "number" ? "N" : "TEXT");
}

function shownDefault({ name, derived }: SettingDescription, defaults: Settings): string {
  const value = defaults[name];
  if (value === undefined) return derived ?? "none";
  if (Array.isArray(value)) return value.join(",");
  if (typeof value === "number") return formatRate(value);
  if (typeof value === "boolean") return value ? "on" : "off";
  return typeof value === "string" && !/^[\w-]+$/.test(value)
    ? JSON.stringify(value)
    : String(value);
}

/** What cannot be read as a number stays text, for the check to name. */
function toNumber(text: string): unknown {
  const number = Number(text.replaceAll("_", ""));
  return text.trim() === "" || Number.isNaN(number) ? text : number;
}

function parse(kind: SettingDescription["kind"], text: string): unknown {
  switch (kind) {
    case "number":
      return toNumber(text);
    case "numbers":
      return text.split(",").map(toNumber);
    default:
      return text;
  }
}

/** Adds a flag for every setting, under its heading, with its default. */
export function addSettingFlags(command: Command, except: readonly SettingName[] = []): void {
  const defaults = resolveSettings().settings;
  for (const setting of describeSettings()) {
    if (except.includes(setting.name)) continue;
    const list =
      setting.choices.join("|").length > WIDEST_CHOICES ? setting.choices.join(", ") : "";
    const description = list === "" ? setting.description : `${setting.description}: ${list}`;
    const help = `${description} (default: ${shownDefault(setting, defaults)})`;
    if (setting.kind === "switch") {
      command.addOption(new Option(setting.flag, help).helpGroup(`${setting.group}:`));
      // Where a file or the run to be resumed has it on.
      command.addOption(new Option(setting.flag.replace("--", "--no-")).hideHelp());
      continue;
    }
    command.addOption(
      new Option(`${setting.flag} <${placeholder(setting)}>`, help)
        .helpGroup(`${setting.group}:`)
        .argParser((text) => parse(setting.kind, text)),
    );
  }
}

/** Picks the settings that were given out of a command's options. */
export function givenSettings(options: Readonly<Record<string, unknown>>): GivenSettings {
  return Object.fromEntries(
    describeSettings().flatMap(({ name }) =>
      options[name] === undefined ? [] : [[name, options[name]] as const],
    ),
  );
}
