import { closeSync, existsSync, fsyncSync, openSync, readFileSync } from "node:fs";
import { writeAll, writeFileAtomic } from "./atomic.js";
import { writing } from "./failure.js";

/** One line of `metrics.jsonl`. */
export interface MetricRecord {
  /** Optimizer steps done. */
  readonly step: number;
  readonly split: "train" | "val";
  /** Mean cross-entropy in nats a token: over the steps since the last line, or the held-out text. */
  readonly loss: number;
  /** The learning rate of the last step. */
  readonly lr: number;
  /** Tokens trained on so far. */
  readonly tokens: number;
  readonly tokens_per_second: number;
  /** The decoder's share in the hidden state; null for GPT. */
  readonly alpha: number | null;
  /** Passes over the training text so far. */
  readonly epoch: number;
  /** Seconds since the run began, pauses between interruption and resumption left out. */
  readonly seconds: number;
  /** Norm of the last step's gradient before clipping, where clipping is on. */
  readonly grad_norm?: number;
  /** Held-out loss in bits a character. */
  readonly bits_per_character?: number;
}

function parseLine(line: string): MetricRecord | null {
  try {
    const record = JSON.parse(line) as MetricRecord;
    return typeof record === "object" && record !== null && typeof record.step === "number"
      ? record
      : null;
  } catch {
    return null;
  }
}

/** The whole lines of a metrics file; a last line cut short by a crash is left out. */
export function readMetrics(path: string): MetricRecord[] {
  if (!existsSync(path)) return [];
  return readFileSync(path, "utf8")
    .split("\n")
    .flatMap((line) => parseLine(line) ?? []);
}

/** `metrics.jsonl`, open for adding lines. */
export class MetricsFile {
  readonly path: string;
  #fd: number;

  /** Opens the file, keeping just the lines that `keep` says yes to. */
  constructor(path: string, keep: (line: MetricRecord) => boolean) {
    this.path = path;
    const kept = readMetrics(path).filter(keep);
    writeFileAtomic(path, kept.map((line) => `${JSON.stringify(line)}\n`).join(""));
    this.#fd = writing(path, () => openSync(path, "a"));
  }

  append(record: MetricRecord): void {
    writing(this.path, () => writeAll(this.#fd, `${JSON.stringify(record)}\n`));
  }

  /** Waits until the lines are on the disk. */
  sync(): void {
    writing(this.path, () => fsyncSync(this.#fd));
  }

  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }
}
