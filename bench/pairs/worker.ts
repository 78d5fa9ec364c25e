import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { packageRoot } from "../../lib/package-root.js";
import { pythonInterpreter } from "../../test/python.js";

type Reply = { readonly value: unknown } | { readonly error: string };

/**
 * A process that measures one side. It lives as long as the comparison and answers one JSON line with another, so
 * that the sides take turns and whatever the machine does meanwhile meets both.
 */
export class Worker {
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;
  #waiting: { resolve(reply: Reply): void; reject(error: Error): void } | null = null;
  #errors = "";

  constructor(
    readonly name: string,
    command: string,
    arguments_: readonly string[],
    environment: Readonly<Record<string, string>>,
  ) {
    const child = spawn(command, arguments_, {
      cwd: packageRoot(),
      env: { ...process.env, ...environment },
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.#child = child;
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#errors = (this.#errors + text).slice(-8000);
    });
    child.stdin.on("error", () => {}); // reported as the child's end
    createInterface({ input: child.stdout }).on("line", (line) => {
      const waiting = this.#waiting;
      this.#waiting = null;
      waiting?.resolve(JSON.parse(line) as Reply);
    });
    this.#ended = new Promise((resolve) => {
      const end = (how: string) => {
        this.#waiting?.reject(new Error(`${name} ended (${how}):\n${this.#errors.trim()}`));
        this.#waiting = null;
        resolve();
      };
      child.on("error", (error) => end(error.message));
      child.on("close", (status, signal) => end(`${signal ?? `exit status ${status}`}`));
    });
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** One of this package's own workers, `build/bench/bench/FILE`. */
  static node(name: string, file: string, environment: Readonly<Record<string, string>>): Worker {
    const script = fileURLToPath(new URL(`../${file}`, import.meta.url));
    return new Worker(name, process.execPath, [script], environment);
  }

  /** One in Python, `bench/peer/FILE`. */
  static python(name: string, file: string, environment: Readonly<Record<string, string>>): Worker {
    const script = `${packageRoot()}/bench/peer/${file}`;
    return new Worker(name, pythonInterpreter(), ["-u", script], {
      PYTHONUTF8: "1",
      PYTHONDONTWRITEBYTECODE: "1",
      ...environment,
    });
  }

  /** Asks and waits for the answer. @throws Error with what the worker said, where it fails or ends. */
  async ask<T>(what: string, details: Readonly<Record<string, unknown>> = {}): Promise<T> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) {
      throw new Error(`${this.name} has ended:\n${this.#errors.trim()}`);
    }
    const reply = await new Promise<Reply>((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#child.stdin!.write(`${JSON.stringify({ ask: what, ...details })}\n`);
    });
    if ("error" in reply) throw new Error(`${this.name}, asked to ${what}:\n${reply.error}`);
    return reply.value as T;
  }

  async stop(): Promise<void> {
    this.#child.stdin!.end();
    await this.#ended;
  }
}
