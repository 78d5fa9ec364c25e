import { type ChildProcess, fork } from "node:child_process";
import { WaveGPTError } from "../../lib/errors.js";
import type { FromWorker, JobKind, Jobs, ToWorker } from "./jobs.js";

interface Pending {
  readonly message: ToWorker;
  readonly onEvent: (event: never) => void;
  readonly resolve: (answer: never) => void;
  readonly reject: (error: Error) => void;
}

interface Worker {
  readonly child: ChildProcess;
  job: Pending | null;
}

/** Worker processes that take jobs from one queue, each one job at a time. */
export class WorkerPool {
  readonly #workers: Worker[] = [];
  readonly #queue: Pending[] = [];

  /**
   * @param size how many processes at most
   * @param signal when aborted, running jobs end as soon as they can and waiting ones do not begin
   */
  constructor(
    readonly size: number,
    private readonly signal?: AbortSignal,
  ) {
    signal?.addEventListener("abort", this.#abort);
  }

  get aborted(): boolean {
    return this.signal?.aborted ?? false;
  }

  /**
   * Does a job when a worker is free for it; jobs begin in the order in which they were given.
   * @returns the answer, or null where the pool was aborted before the job began
   */
  run<K extends JobKind>(
    kind: K,
    given: Jobs[K]["given"],
    onEvent: (event: Jobs[K]["event"]) => void = () => {},
  ): Promise<Jobs[K]["answer"] | null> {
    if (this.aborted) return Promise.resolve(null);
    return new Promise((resolve, reject) => {
      this.#queue.push({ message: { kind, given } as ToWorker, onEvent, resolve, reject });
      this.#begin();
    });
  }

  /** Ends the workers. */
  [Symbol.dispose](): void {
    this.signal?.removeEventListener("abort", this.#abort);
    this.#queue.length = 0;
    for (const { child } of this.#workers) if (child.connected) child.disconnect();
  }

  readonly #abort = (): void => {
    for (const { resolve } of this.#queue.splice(0)) resolve(null as never);
    for (const { child, job } of this.#workers) {
      if (job !== null) child.send({ kind: "abort" } satisfies ToWorker);
    }
  };

  #begin(): void {
    while (this.#queue.length > 0) {
      const free = this.#workers.find(({ job }) => job === null) ?? this.#start();
      if (free === null) return;
      free.job = this.#queue.shift()!;
      free.child.send(free.job.message);
    }
  }

  #start(): Worker | null {
    if (this.#workers.length >= this.size) return null;
    // What a worker prints is no part of this program's output.
    const stdio = ["ignore", 2, 2, "ipc"] as ["ignore", 2, 2, "ipc"];
    const child = fork(new URL("./worker.js", import.meta.url), { stdio });
    const worker: Worker = { child, job: null };
    this.#workers.push(worker);
    child.on("message", (message: FromWorker) => this.#receive(worker, message));
    // A message that no longer reaches a worker that ends: its end says so.
    child.on("error", () => {});
    child.on("exit", (status, signal) => {
      this.#workers.splice(this.#workers.indexOf(worker), 1);
      worker.job?.reject(
        new WaveGPTError(
          "ERR_WAVEGPT_WORKER",
          `A worker process ended (${signal ?? `status ${status}`}) before its job was done. What was finished is saved: go on with --resume.`,
        ),
      );
      worker.job = null;
      this.#begin();
    });
    return worker;
  }

  #receive(worker: Worker, message: FromWorker): void {
    const { job } = worker;
    if (job === null) return;
    if ("event" in message) {
      job.onEvent(message.event as never);
      return;
    }
    worker.job = null;
    if ("answer" in message) job.resolve(message.answer as never);
    else job.reject(failure(message.error));
    this.#begin();
  }
}

function failure({ code, message }: { code: string; message: string }): Error {
  return code === "" ? new Error(message) : new WaveGPTError(code, message);
}
