import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";

export const PARTS = [
  "overhead",
  "step",
  "kernels",
  "scaling",
  "waiting",
  "loader",
  "tokenizer",
  "profile",
] as const;
export type Part = (typeof PARTS)[number];

export interface BenchOptions {
  readonly parts: readonly Part[];
  /** Few and short rounds: to see that everything runs, not to quote. */
  readonly quick: boolean;
  /** File for everything that was measured, or null. */
  readonly json: string | null;
  /** How many times each side has its turn, or null for a part's own number. */
  readonly rounds: number | null;
  /** CPU threads of each side in training steps. Operators always get one. */
  readonly threads: number;
  /** Whether training steps are timed without our kernels, too. */
  readonly composed: boolean;
  /** Measures only what has this in its name. */
  readonly only: string;
  /** Files of earlier measurements to show instead of measuring, or null. */
  readonly report: readonly string[] | null;
  /** A Markdown page whose tables are to be made anew of those files, or null. */
  readonly into: string | null;
}

export const USAGE = `Usage: npm run bench [-- PART...] [OPTIONS]
       npm run bench -- report FILE... [--into PAGE]

Parts (default: overhead step)
  overhead      one operator on 4x4 tensors, against PyTorch from Python, one thread each
  step          a training step of the shakespeare preset, with its own vocabulary (65) and with
                GPT-2's (50304), against PyTorch eager and torch.compile
  kernels       each wavegpt:: operator, against the same by libtorch's and from Python
  scaling       how our step's time grows with threads, batch, block size and layers
  waiting       our step by how OpenMP's threads wait for work, alone and beside other processes
  loader        how long training steps wait for their batches, at batch sizes 1 to 512
  tokenizer     GPT-2's tokens beside Python's tiktoken, and learning a vocabulary beside tokenizers
  profile       where a training step spends its time, by libtorch call and by perf
  report        shows what --json wrote; of several files, their profiles beside each other.
                --into PAGE: puts the tables between a page's markers instead, e.g. into
                docs/performance.md, whose profiles are of the first file and the last

Options
  --quick       few and short rounds, to see that everything runs
  --rounds N    how many times each side has its turn
  --threads N   CPU threads of each side in training steps (default: all, ${availableParallelism()} here)
  --only TEXT   measure only this: part of an operator's call ("add"), words of a training's
                name ("wavegpt", "gpt 50304 bfloat16"), or parts of a kernel's ("mlp float32")
  --composed    time training steps by libtorch's operators instead of our kernels, too
  --json FILE   write all measurements to FILE
  --help
`;

function positive(flag: string, value: string | undefined): number | null {
  if (value === undefined) return null;
  const number = Number(value);
  if (!Number.isSafeInteger(number) || number < 1) {
    throw new Error(`--${flag}: expected a whole number from 1, got ${value}`);
  }
  return number;
}

/** @throws Error that says what was expected, for a bad command line; returns null for --help. */
export function readOptions(argv: readonly string[]): BenchOptions | null {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      quick: { type: "boolean", default: false },
      json: { type: "string" },
      rounds: { type: "string" },
      threads: { type: "string" },
      only: { type: "string", default: "" },
      into: { type: "string" },
      composed: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return null;
  const report = positionals[0] === "report" ? positionals.slice(1) : null;
  const parts = report === null ? positionals : [];
  if (values.into !== undefined && (report === null || report.length === 0)) {
    throw new Error("--into: expected report and the name of at least one file before it");
  }
  const unknown = parts.find((part) => !(PARTS as readonly string[]).includes(part));
  if (unknown !== undefined) {
    throw new Error(`expected a part among ${PARTS.join(", ")}, got ${unknown}`);
  }
  return {
    parts: parts.length === 0 ? ["overhead", "step"] : (parts as Part[]),
    quick: values.quick,
    json: values.json ?? null,
    rounds: positive("rounds", values.rounds),
    threads: positive("threads", values.threads) ?? availableParallelism(),
    composed: values.composed,
    only: values.only,
    report,
    into: values.into ?? null,
  };
}
