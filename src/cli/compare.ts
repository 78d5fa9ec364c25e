import { type Command, Option } from "commander";
import type { SettingsInput } from "../config/settings.js";
import { UsageError } from "../config/usage-error.js";
import { STUDIES } from "../study/arms.js";
import { storedStudy } from "../study/plan.js";
import { planComparison } from "../training/comparison.js";
import { interruptible } from "./interrupt.js";
import { shellWord, shownPath } from "./paths.js";
import type { SetStatus } from "./program.js";
import { createReporter } from "./reporter.js";
import { addRunOptions, folderOptions, type RunOptions } from "./run-options.js";
import { addSettingFlags, givenSettings } from "./setting-flags.js";
import { studyCommand } from "./study.js";

interface CompareFlags extends RunOptions {
  readonly seeds?: string;
  readonly study?: string;
  readonly arms?: string;
  readonly parallel?: string;
  readonly time?: string | true;
}

/** Rounds of `--time` where none are given. */
const TIMING_ROUNDS = 20;

function parseSeeds(text: string): number[] {
  const seeds = text.split(",").map((part) => (part.trim() === "" ? Number.NaN : Number(part)));
  if (seeds.some((seed) => !Number.isSafeInteger(seed) || seed < 0)) {
    throw new UsageError(`--seeds: expected whole numbers with commas between, got "${text}".`);
  }
  return seeds;
}

function parseCount(flag: string, text: string): number {
  const count = Number(text);
  if (!Number.isSafeInteger(count) || count < 1) {
    throw new UsageError(`${flag}: expected a whole number from 1, got "${text}".`);
  }
  return count;
}

/** What only a study takes. */
function studyFlags({ study, arms, parallel, time }: CompareFlags) {
  return {
    study,
    arms: arms?.split(",").map((id) => id.trim()),
    parallel: parallel === undefined ? undefined : parseCount("--parallel", parallel),
    timingRounds:
      time === undefined ? undefined : time === true ? TIMING_ROUNDS : parseCount("--time", time),
  };
}

function rejectStudyFlags(flags: Record<string, unknown>): void {
  for (const name of ["arms", "parallel", "time"]) {
    if (flags[name] !== undefined) throw new UsageError(`--${name}: only a --study takes it.`);
  }
}

/** `wavegpt compare` */
export function addCompareCommand(program: Command, setStatus: SetStatus): void {
  const command = program
    .command("compare")
    .description("Train GPT and WaveGPT alike and write one report about both.");
  addRunOptions(command, "comparison");
  const names = STUDIES.map(({ name }) => name).join("|");
  for (const option of [
    new Option(
      "--seeds <N,N>",
      "Train each model with each of these seeds (default: 1337; in a study 1,2,3)",
    ),
    new Option("--study <NAME>", `Train a whole table of models instead: ${names}`),
    new Option("--arms <ID,ID>", "Of the study's models, only these"),
    new Option("--parallel <N>", "In a study, runs side by side, a process each (default: 1)"),
    new Option(
      "--time [ROUNDS]",
      `In a study, time all models' training steps in turns afterwards (default: ${TIMING_ROUNDS} rounds)`,
    ),
  ]) {
    command.addOption(option.helpGroup("Run:"));
  }
  addSettingFlags(command, ["model", "seed"]);
  command.action(async (options: CompareFlags & Record<string, unknown>) => {
    const folder = folderOptions(options);
    const seeds = options.seeds === undefined ? undefined : parseSeeds(options.seeds);
    const given = givenSettings(options) as SettingsInput;
    const { preset, config, json = false } = options;
    const resumesStudy =
      folder.resume && folder.out !== undefined && storedStudy(folder.out) !== null;
    if (options.study !== undefined || resumesStudy) {
      const sources = { preset, config, seeds, ...folder, ...studyFlags(options) };
      setStatus(await studyCommand(given, { ...sources, json }));
      return;
    }
    rejectStudyFlags(options);
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
