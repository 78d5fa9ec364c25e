import { type Profile, torch } from "../../lib/index.js";
import { writing } from "../run/failure.js";
import type { TrainEvent } from "./events.js";
import type { Plan } from "./plan.js";

/** Steps before the profile: memory is being found and caches are being filled. */
const WARM_UP = 5;
const STEPS = 3;
const OPERATORS = 10;

/** Which steps a profile is of: from `first` to `last`, counted from 1. */
export interface ProfiledSteps {
  readonly first: number;
  readonly last: number;
}

/**
 * Three steps after five others of this process, or what comes nearest in the run that is left: without an evaluation
 * or a checkpoint between them, which would fill the profile.
 * @param from steps done before
 * @returns null where no step is left
 */
export function profiledSteps(plan: Plan, from: number): ProfiledSteps | null {
  const { steps, evalEvery, checkpointEvery } = plan;
  const quiet = (step: number) =>
    step % evalEvery !== 0 && (checkpointEvery === 0 || step % checkpointEvery !== 0);
  for (let count = Math.min(STEPS, steps - from); count > 0; count--) {
    // Later steps first: earlier ones are only for runs that are too short.
    const latest = steps - count;
    const earliest = Math.min(from + WARM_UP, latest);
    for (const done of [...range(earliest, latest), ...range(from, earliest - 1).reverse()]) {
      if (range(done + 1, done + count - 1).every(quiet)) {
        return { first: done + 1, last: done + count };
      }
    }
  }
  return null;
}

/** From `first` to `last`, at most 1000: a long run need not be searched to its end. */
function range(first: number, last: number): number[] {
  return Array.from({ length: Math.max(0, Math.min(last - first + 1, 1000)) }, (_, i) => first + i);
}

/** Records a few steps of a run, and writes them as a Chrome trace. Nothing that fails here stops the run. */
export class StepProfiler {
  readonly #steps: ProfiledSteps | null;
  #profile: Profile | null = null;
  #step: Disposable | null = null;
  #done: boolean;

  constructor(
    /** Where the trace goes; null records nothing. */
    private readonly path: string | null,
    plan: Plan,
    from: number,
    private readonly emit: (event: TrainEvent) => void,
  ) {
    this.#steps = path === null ? null : profiledSteps(plan, from);
    this.#done = path === null;
    if (this.#steps === null && path !== null) this.#giveUp("The run has no step left to profile.");
  }

  /** Before a step. */
  begin(step: number): void {
    if (this.#done || step < this.#steps!.first) return;
    if (this.#profile === null) {
      const profile = new torch.profiler.Profile();
      try {
        profile.start();
      } catch (error) {
        this.#giveUp(`No profile is recorded: ${(error as Error).message}.`);
        return;
      }
      this.#profile = profile;
    }
    // The name that PyTorch gives a step, by which tools know it.
    this.#step = torch.profiler.recordFunctionGuard(`ProfilerStep#${step}`);
  }

  /** After a step; where the run stops with it, the profile is of fewer. */
  end(step: number, stopping: boolean): void {
    if (this.#profile === null || this.#done) return;
    this.#step?.[Symbol.dispose]();
    if (step < this.#steps!.last && !stopping) return;
    this.#done = true;
    this.#profile.stop();
    this.#write(this.#profile, { first: this.#steps!.first, last: step });
  }

  /** Says so where the run has ended before the profile was complete. */
  [Symbol.dispose](): void {
    this.#profile?.[Symbol.dispose]();
    if (!this.#done) {
      const { first, last } = this.#steps!;
      this.#giveUp(
        `No profile was written: the run ended before steps ${first} to ${last} were done.`,
      );
    }
  }

  #write(profile: Profile, { first, last }: ProfiledSteps): void {
    const path = this.path!;
    try {
      writing(path, () => profile.exportChromeTrace(path));
    } catch (error) {
      this.#giveUp(`No profile was written. ${(error as Error).message}`);
      return;
    }
    const { rows } = profile.keyAverages();
    this.emit({
      type: "profile",
      ...{ path, firstStep: first, lastStep: last },
      microseconds: rows.reduce((sum, row) => sum + row.selfCpuTimeTotal, 0),
      operators: rows.slice(0, OPERATORS),
    });
  }

  #giveUp(message: string): void {
    this.#done = true;
    this.emit({ type: "notice", message });
  }
}
