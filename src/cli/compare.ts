import type { Command } from "commander";
import type { SettingsInput } from "../config/settings.js";
import { UsageError } from "../config/usage-error.js";
import { planComparison } from "../training/comparison.js";
import { interruptible } from "./interrupt.js";
import { shellWord, shownPath } from "./paths.js";
import type { SetStatus } from "./program.js";
import { createReporter } from "./reporter.js";
import { addRunOptions, folderOptions, type RunOptions } from "./run-options.js";
import { addSettingFlags, givenSettings } from "./setting-flags.js";

function parseSeeds(text: string): number[] {
  const seeds = text.split(",").map((part) => (part.trim() === "" ? Number.NaN : Number(part)));
  if (seeds.some((seed) => !Number.isSafeInteger(seed) || seed < 0)) {
    throw new UsageError(`--seeds: expected whole numbers with commas between, got "${text}".`);
  }
  return seeds;
}

/** `wavegpt compare` */
export function addCompareCommand(program: Command, setStatus: SetStatus): void {
  const command = program
    .command("compare")
    .description("Train GPT and WaveGPT alike and write one report about both.");
  addRunOptions(command, "comparison");
  command.option("--seeds <N,N>", "Train each model with each of these seeds (default: 1337)");
  addSettingFlags(command, ["model", "seed"]);
  command.action(async (options: RunOptions & { seeds?: string } & Record<string, unknown>) => {
    const folder = folderOptions(options);
    const seeds = options.seeds === undefined ? undefined : parseSeeds(options.seeds);
    const given = givenSettings(options) as SettingsInput;
    const { preset, config } = options;
    // Mistakes are named before libtorch is loaded, which at first use means fetched.
    planComparison(given, { preset, config, seeds, ...folder });
    const { compare } = await import("../compare.js");
    const { summaryTable, textTable } = await import("../report/index.js");
    const reporter = createReporter({ json: options.json ?? false });
    const interrupt = interruptible(reporter.notice);
    try {
      const result = await compare(given, {
        preset,
        config,
        seeds,
        ...folder,
        signal: interrupt.signal,
        onEvent: reporter.event,
      });
      if (options.json) {
        process.stdout.write(`${JSON.stringify({ event: "comparison", ...result })}\n`);
      }
      if (result.report !== null) {
        const table = textTable(summaryTable(result.summaries));
        reporter.print(`\n${table}\n\nReport: ${shownPath(result.report)}`);
      }
      if (!result.finished) {
        reporter.print(
          `Go on with:\n  npx wavegpt compare --resume ${shellWord(shownPath(result.out))}`,
        );
        setStatus(130);
      }
    } finally {
      interrupt.release();
      reporter.close();
    }
  });
}
