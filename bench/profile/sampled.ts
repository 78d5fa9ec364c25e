import type { Recording } from "./perf.js";
import { isNameless, OUTSIDE, type Owner, ownerOf, workOf } from "./places.js";

/** CPU milliseconds a step. */
export interface Work {
  readonly work: string;
  /** Of all threads. */
  milliseconds: number;
  /** The part of it that the operating system's kernel took, nearly all of it page faults. */
  kernel: number;
}

/** One side's training, as perf saw it. */
export interface Sampled {
  /** Wall-clock milliseconds a step, with perf beside it. */
  readonly step: number;
  /** CPU milliseconds a step of the thread that runs the program, by whose code it ran. */
  readonly mainThread: Readonly<Partial<Record<Owner, number>>>;
  /** The share of the main thread's CPU time outside libtorch and our kernels, from 0 to 1. */
  readonly outside: number;
  /** The same if all of the C library's time (malloc, memcpy) were outside, too. */
  readonly outsideAtMost: number;
  /** CPU milliseconds a step of all threads, the longest first. */
  readonly works: readonly Work[];
  /** The functions in which most CPU time went, of all threads; percent. */
  readonly symbols: readonly { readonly name: string; readonly percent: number }[];
  /** Whether the binding was built without names, so that kernels count as binding. */
  readonly nameless: boolean;
}

const SYMBOLS = 60;

/** @param step - wall-clock seconds a step @param pid - the process, whose first thread has the same number */
export function summarize({ samples, seconds }: Recording, step: number, pid: number): Sampled {
  const steps = seconds / step;
  const mainThread: Partial<Record<Owner, number>> = {};
  const works = new Map<string, Work>();
  const symbols = new Map<string, number>();
  let [all, main, nameless] = [0, 0, false];
  for (const { thread, nanoseconds, frame, kernel } of samples) {
    const milliseconds = nanoseconds / 1e6 / steps;
    all += milliseconds;
    nameless ||= isNameless(frame);
    if (thread === pid) {
      const owner = ownerOf(frame);
      main += milliseconds;
      mainThread[owner] = (mainThread[owner] ?? 0) + milliseconds;
    }
    const name = workOf(frame);
    const work = works.get(name) ?? { work: name, milliseconds: 0, kernel: 0 };
    works.set(name, work);
    work.milliseconds += milliseconds;
    if (kernel) work.kernel += milliseconds;
    const symbol = `${frame.library}: ${(frame.symbol ?? "?").slice(0, 400)}`;
    symbols.set(symbol, (symbols.get(symbol) ?? 0) + milliseconds);
  }
  const outside = OUTSIDE.reduce((sum, owner) => sum + (mainThread[owner] ?? 0), 0);
  return {
    step: step * 1000,
    mainThread,
    outside: outside / main,
    outsideAtMost: (outside + (mainThread["C library"] ?? 0)) / main,
    works: [...works.values()].sort((a, b) => b.milliseconds - a.milliseconds),
    symbols: [...symbols]
      .map(([name, milliseconds]) => ({ name, percent: (100 * milliseconds) / all }))
      .sort((a, b) => b.percent - a.percent)
      .slice(0, SYMBOLS),
    nameless,
  };
}
