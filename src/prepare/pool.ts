import { Worker } from "node:worker_threads";
import { WaveGPTError } from "../../lib/errors.js";
import type { EncodeAnswer, EncodeRequest, WorkerSetup } from "./encoding.js";

interface Task {
  readonly request: EncodeRequest;
  readonly resolve: (answer: EncodeAnswer) => void;
  readonly reject: (error: Error) => void;
}

/** Threads that encode; each has one request at a time. */
export class EncoderPool {
  readonly #idle: Worker[] = [];
  readonly #workers: Worker[] = [];
  readonly #busy = new Map<Worker, Task>();
  readonly #waiting: Task[] = [];
  #failure: Error | null = null;

  constructor(count: number, setup: WorkerSetup) {
    for (let i = 0; i < count; i++) {
      const worker = new Worker(new URL("./worker.js", import.meta.url), { workerData: setup });
      worker.on("message", (answer: EncodeAnswer) => this.#answered(worker, answer));
      worker.on("error", (error) => this.#fail(error));
      worker.on("exit", (code) => {
        if (code !== 0) this.#fail(new Error(`it ended with status ${code}`));
      });
      this.#workers.push(worker);
      this.#idle.push(worker);
    }
  }

  /** Encodes as soon as a thread is free. The request's bytes are handed over. */
  encode(request: EncodeRequest): Promise<EncodeAnswer> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== null) return reject(this.#failure);
      this.#waiting.push({ request, resolve, reject });
      this.#start();
    });
  }

  async close(): Promise<void> {
    for (const worker of this.#workers) worker.removeAllListeners("exit");
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }

  #start(): void {
    while (this.#idle.length > 0 && this.#waiting.length > 0) {
      const worker = this.#idle.pop()!;
      const task = this.#waiting.shift()!;
      this.#busy.set(worker, task);
      worker.postMessage(task.request, [task.request.bytes.buffer as ArrayBuffer]);
    }
  }

  #answered(worker: Worker, answer: EncodeAnswer): void {
    const task = this.#busy.get(worker);
    this.#busy.delete(worker);
    this.#idle.push(worker);
    this.#start();
    task?.resolve(answer);
  }

  #fail(error: Error): void {
    this.#failure ??=
      error instanceof WaveGPTError
        ? error
        : new WaveGPTError(
            "ERR_WAVEGPT_TOKENIZER",
            `A thread that encodes failed: ${error.message}`,
            { cause: error },
          );
    for (const task of [...this.#busy.values(), ...this.#waiting.splice(0)]) {
      task.reject(this.#failure);
    }
    this.#busy.clear();
  }
}
