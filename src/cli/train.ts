import { type Command, Option } from "commander";
import type { SettingsInput } from "../config/settings.js";
import { openRun } from "../training/open.js";
import { interruptible } from "./interrupt.js";
import type { SetStatus } from "./program.js";
import { createReporter } from "./reporter.js";
import { addRunOptions, folderOptions, type RunOptions } from "./run-options.js";
import { addSettingFlags, givenSettings } from "./setting-flags.js";

interface TrainFlags extends RunOptions {
  readonly profile?: string | true;
}

/** `wavegpt train` */
export function addTrainCommand(program: Command, setStatus: SetStatus): void {
  const command = program
    .command("train")
    .description("Train a model on Tiny Shakespeare, or on your own text with --data.");
  addRunOptions(command, "run");
  command.addOption(
    new Option(
      "--profile [FILE]",
      "Record a few steps as a Chrome trace in FILE (default: profile.json in the run's folder)",
    ).helpGroup("Run:"),
  );
  addSettingFlags(command);
  command.action(async (options: TrainFlags & Record<string, unknown>) => {
    const folder = folderOptions(options);
    const given = givenSettings(options) as SettingsInput;
    const { preset, config, profile } = options;
    // Mistakes are named before libtorch is loaded, which at first use means fetched.
    const existing = folder.resume ? "resume" : folder.overwrite ? "overwrite" : "refuse";
    openRun(given, { preset, config, out: folder.out, existing, profile });
    const { train } = await import("../train.js");
    const reporter = createReporter({ json: options.json ?? false });
    const interrupt = interruptible(reporter.notice);
    try {
      const result = await train(given, {
        preset,
        config,
        ...folder,
        profile,
        signal: interrupt.signal,
        onEvent: reporter.event,
      });
      if (!result.finished) setStatus(130);
    } finally {
      interrupt.release();
      reporter.close();
    }
  });
}
