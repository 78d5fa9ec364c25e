import { type Command, Option } from "commander";
import { DEFAULT_PRESET, presets } from "../config/presets.js";
import { UsageError } from "../config/usage-error.js";

/** The options that every command which trains has, as given. */
export interface RunOptions {
  readonly preset?: string;
  readonly config?: string;
  readonly out?: string;
  readonly resume?: string | true;
  readonly overwrite?: true;
  readonly json?: true;
}

/** Adds {@link RunOptions}; `what` is what lies in the folder. */
export function addRunOptions(command: Command, what: string): void {
  const options = [
    new Option(
      "--preset <NAME>",
      `Settings by name: ${Object.keys(presets).join(", ")} (default: ${DEFAULT_PRESET})`,
    ),
    new Option("--config <FILE>", "TOML or JSON file of settings; flags override it"),
    new Option("--out <DIR>", `Folder of the ${what} (default: a new one in runs/)`),
    new Option("--resume [DIR]", `Go on with the ${what} in DIR, or in --out`),
    new Option("--overwrite", `Replace the ${what} in --out`),
    new Option("--json", "Print one JSON object a line"),
  ];
  for (const option of options) command.addOption(option.helpGroup("Run:"));
}

/**
 * Which folder, and what to do with what is in it.
 * @throws UsageError for options that contradict each other
 */
export function folderOptions({ out, resume, overwrite }: RunOptions): {
  out: string | undefined;
  resume: boolean;
  overwrite: boolean;
} {
  if (resume !== undefined && overwrite) {
    throw new UsageError("--resume and --overwrite: expected one of them, got both.");
  }
  if (typeof resume === "string" && out !== undefined && resume !== out) {
    throw new UsageError(`--resume and --out: expected one folder, got ${resume} and ${out}.`);
  }
  return {
    out: typeof resume === "string" ? resume : out,
    resume: resume !== undefined,
    overwrite: overwrite ?? false,
  };
}
