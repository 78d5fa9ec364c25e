/** A process that does a study's jobs one after another, so that several may run side by side. */
import type { FromWorker, JobKind, Jobs, ToWorker } from "./jobs.js";

type Handler<K extends JobKind> = (
  given: Jobs[K]["given"],
  emit: (event: Jobs[K]["event"]) => void,
  signal: AbortSignal,
) => Promise<Jobs[K]["answer"]>;

const HANDLERS: { readonly [K in JobKind]: Handler<K> } = {
  train: async (given, onEvent, signal) => {
    const { train } = await import("../train.js");
    const { settings, ...options } = given;
    return train(settings, { ...options, signal, onEvent });
  },
  time: async (given, emit, signal) => {
    const { timeSteps } = await import("./timing.js");
    return timeSteps(given, emit, signal);
  },
  positions: async ({ path, ...where }, _, signal) => {
    const { lossByPosition } = await import("./positions.js");
    return lossByPosition(path, where, signal);
  },
  probe: async (given, emit, signal) => {
    const { runProbe } = await import("../probes/train.js");
    return runProbe(given, emit, signal);
  },
};

let controller = new AbortController();

/** A parent that is gone can neither be answered nor go on: what was saved is what it resumes from. */
function end(): never {
  process.exit(1);
}

function send(message: FromWorker): void {
  process.send?.(message, undefined, undefined, (error) => {
    if (error !== null) end();
  });
}

async function work<K extends JobKind>(kind: K, given: Jobs[K]["given"]): Promise<void> {
  controller = new AbortController();
  try {
    const handler = HANDLERS[kind] as Handler<K>;
    send({ answer: await handler(given, (event) => send({ event }), controller.signal) });
  } catch (error) {
    const { code, message, stack } = error as Error & { code?: unknown };
    const known = typeof code === "string" && code.startsWith("ERR_WAVEGPT_");
    send({ error: { code: known ? code : "", message: known ? message : (stack ?? message) } });
  }
}

process.on("message", (message: ToWorker) => {
  if (message.kind === "abort") controller.abort();
  else void work(message.kind, message.given as never);
});
// The parent is told to stop by the terminal as well, and tells its workers.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => {});
process.on("disconnect", end);
