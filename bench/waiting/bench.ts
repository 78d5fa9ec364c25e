import { spawn } from "node:child_process";
import type { BenchOptions } from "../options.js";
import { configurationsNamed } from "../step/configurations.js";
import { inTurns } from "../step/in-turns.js";

/** How often libgomp's threads look for work before they sleep; 300000 is its own default. */
export const SPIN_COUNTS = [0, 300, 1000, 10_000, 300_000] as const;

export const COMPANIES = ["nothing else", "one busy process", "the same training"] as const;
/** What else runs on the machine. */
export type Company = (typeof COMPANIES)[number];

export interface WaitingResult {
  readonly name: string;
  readonly company: Company;
  /** Milliseconds a step by spin count, by round. */
  readonly milliseconds: readonly (readonly number[])[];
}

export interface WaitingReport {
  readonly threads: number;
  readonly rounds: number;
  readonly results: readonly WaitingResult[];
}

function startBusyProcess(): () => void {
  const child = spawn(process.execPath, ["-e", "for (;;);"], { stdio: "ignore" });
  return () => void child.kill("SIGKILL");
}

/** How long our step takes by how OpenMP's threads wait for work, alone and in company. */
export async function measureWaiting(options: BenchOptions): Promise<WaitingReport> {
  const { threads, quick } = options;
  const rounds = options.rounds ?? (quick ? 2 : 10);
  const results: WaitingResult[] = [];
  for (const { name, settings, vocabulary } of configurationsNamed(
    options.only || "wavegpt 65 bfloat16",
  )) {
    for (const company of COMPANIES) {
      process.stderr.write(`${name}, beside ${company} ...\n`);
      const stop = company === "one busy process" ? startBusyProcess() : () => {};
      try {
        const processes = company === "the same training" ? 2 : 1;
        const entrants = SPIN_COUNTS.map((count) => ({
          settings,
          threads,
          processes,
          environment: { GOMP_SPINCOUNT: String(count) },
        }));
        const milliseconds = await inTurns(entrants, vocabulary, options, rounds);
        results.push({ name, company, milliseconds });
      } finally {
        stop();
      }
    }
  }
  return { threads, rounds, results };
}
