import type { WriteStream } from "node:tty";
import { torch } from "../../lib/index.js";
import type { Settings } from "../config/settings.js";
import { UsageError } from "../config/usage-error.js";
import { type GenerateOptions, generate } from "../generate.js";
import { loadRun } from "../run/load.js";
import { chooseDevice } from "../training/device.js";
import { nextTurn } from "../training/turn.js";

/** Until the output takes more, or nobody reads it any longer. */
function drained(out: WriteStream): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      for (const event of ["drain", "error", "close"]) out.off(event, done);
      resolve();
    };
    for (const event of ["drain", "error", "close"]) out.on(event, done);
  });
}

/** Writes the prompt and what a run's best model makes of it to standard output, piece by piece. */
export async function writeGenerated(
  from: string,
  machine: { device: Settings["device"]; threads: number },
  options: GenerateOptions,
): Promise<void> {
  if (machine.threads > 0) torch.setNumThreads(machine.threads);
  const { model, tokenizer } = loadRun(from, { device: chooseDevice(machine.device) });
  const out = process.stdout;
  let closed = false;
  // A reader that has seen enough (`| head`) ends the text, not with an error.
  out.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    closed = true;
  });
  try {
    if (options.prompt) tokenizer.encode(options.prompt);
  } catch (error) {
    throw new UsageError(`--prompt: ${(error as Error).message}`);
  }
  out.write(options.prompt ?? "");
  for (const piece of generate(model, tokenizer, options)) {
    if (!out.write(piece)) await drained(out);
    await nextTurn();
    if (closed) return;
  }
  out.write("\n");
}
