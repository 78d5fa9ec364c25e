import { Command } from "commander";
import { packageVersion } from "../version.js";
import { addCompareCommand } from "./compare.js";
import { addDoctorCommand } from "./doctor.js";
import { addGenerateCommand } from "./generate.js";
import { addInstallCommand } from "./install.js";
import { addPrepareCommand } from "./prepare.js";
import { addReportCommand } from "./report.js";
import { addTrainCommand } from "./train.js";
import { addTrainTokenizerCommand } from "./train-tokenizer.js";

/** Tells the caller which status the process is to end with. */
export type SetStatus = (status: number) => void;

/**
 * The command line. Nothing that loads libtorch is imported before a command needs it, so that `--help`
 * is quick and works where libtorch is missing.
 */
export function createProgram(setStatus: SetStatus): Command {
  const program = new Command("wavegpt")
    .description("Train WaveGPT language models and write text with them.")
    .version(packageVersion(), "-V, --version", "print the version")
    .option(
      "--offline",
      "fetch neither libtorch nor Tiny Shakespeare (with every command; the same as WAVEGPT_NO_DOWNLOAD=1)",
    )
    .hook("preAction", () => {
      if (program.opts<{ offline?: boolean }>().offline) process.env.WAVEGPT_NO_DOWNLOAD = "1";
    })
    .helpOption("-h, --help", "print help")
    .helpCommand("help [command]", "print help for a command")
    .showHelpAfterError("Run it with --help to see what it takes.")
    .configureOutput({
      outputError: (text, write) => write(text.replace(/^error: /, "wavegpt: ")),
    })
    .exitOverride();
  addTrainCommand(program, setStatus);
  addPrepareCommand(program, setStatus);
  addTrainTokenizerCommand(program, setStatus);
  addGenerateCommand(program);
  addCompareCommand(program, setStatus);
  addReportCommand(program);
  addInstallCommand(program);
  addDoctorCommand(program, setStatus);
  return program;
}
