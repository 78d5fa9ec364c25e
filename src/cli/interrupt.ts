/** Signals as a request to stop in an orderly way. */
export interface Interrupt {
  readonly signal: AbortSignal;
  /** Gives the signals back. */
  release(): void;
}

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Turns the first Ctrl-C, SIGTERM or SIGHUP into an abort, so that the step is finished and the run saved; the
 * second ends the process at once. A reader that closes the output (`| head`) counts as an interruption too.
 */
export function interruptible(
  notice: (message: string) => void,
  what = "Finishing the step and saving; once more stops at once, without saving.",
): Interrupt {
  const controller = new AbortController();
  const onSignal = (name: NodeJS.Signals) => {
    if (controller.signal.aborted) {
      release();
      process.kill(process.pid, name);
      return;
    }
    controller.abort();
    notice(what);
  };
  const onOutputError = (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    controller.abort();
  };
  // Output stays without a reader to the end, so its errors are caught to the end.
  const release = () => {
    for (const name of SIGNALS) process.off(name, onSignal);
  };
  for (const name of SIGNALS) process.on(name, onSignal);
  process.stdout.on("error", onOutputError);
  return { signal: controller.signal, release };
}
