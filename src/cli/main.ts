import { CommanderError } from "commander";
import { createProgram } from "./program.js";

const DONE = 0;
const FAILED = 1;
const BAD_USAGE = 2;

function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === "string" ? code : "";
}

function explain(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  if (codeOf(error).startsWith("ERR_WAVEGPT_")) return message;
  return `${message} (this was not expected; WAVEGPT_DEBUG=1 shows where it came from)`;
}

/**
 * Runs the command line.
 * @param args without the program's name
 * @returns the exit status: 0 done, 1 failed, 2 bad usage, 130 interrupted after saving
 */
export async function main(args: readonly string[]): Promise<number> {
  let status = DONE;
  const program = createProgram((value) => {
    status = value;
  });
  try {
    await program.parseAsync([...args], { from: "user" });
    return status;
  } catch (error) {
    // Commander has printed its own message; help and version end with status 0.
    if (error instanceof CommanderError) return error.exitCode === 0 ? DONE : BAD_USAGE;
    process.stderr.write(`wavegpt: ${explain(error)}\n`);
    if (process.env.WAVEGPT_DEBUG === "1" && error instanceof Error) {
      process.stderr.write(`${error.stack}\n`);
      for (let cause = error.cause; cause instanceof Error; cause = cause.cause) {
        process.stderr.write(`Caused by: ${cause.stack}\n`);
      }
    }
    return codeOf(error) === "ERR_WAVEGPT_USAGE" ? BAD_USAGE : FAILED;
  }
}
