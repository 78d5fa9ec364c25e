import { binding } from "./binding.js";
import { argumentError, WaveGPTError } from "./errors.js";
import { type Guard, guard } from "./gradmode.js";
import type { ProfilerEvent, ProfilerTrace } from "./native.js";
import { writeChromeTrace } from "./profiler/chrome-trace.js";
import { type KeyAverages, keyAverages } from "./profiler/key-averages.js";
import { requireSynchronous } from "./synchronous.js";

export type { ProfilerEvent } from "./native.js";
export type { EventAverage, KeyAverages, TableOptions } from "./profiler/key-averages.js";

/** What is recorded: operators on the CPU, kernels on an NVIDIA GPU. */
export type ProfilerActivity = "cpu" | "cuda";

const ACTIVITIES: readonly unknown[] = ["cpu", "cuda"] satisfies ProfilerActivity[];

export interface ProfileOptions {
  /** Default: `["cpu"]`, and `"cuda"` where there is such a device. */
  readonly activities?: readonly ProfilerActivity[] | undefined;
  /** Whether the trace holds the sizes, strides and types of the operators' arguments. Default false. */
  readonly recordShapes?: boolean | undefined;
}

// Known here too, so that a range costs nothing while nothing is recorded.
let recording = false;

function profilerError(method: string, message: string): WaveGPTError {
  const operator = `torch.profiler.Profile.${method}`;
  return new WaveGPTError("ERR_WAVEGPT_PROFILER", `${operator}: ${message}`, { operator });
}

function activitiesOf(given: readonly ProfilerActivity[] | undefined): readonly ProfilerActivity[] {
  const cuda = binding.cudaIsAvailable();
  const activities = given ?? (cuda ? ["cpu", "cuda"] : ["cpu"]);
  const wrong = (expected: string) =>
    argumentError("torch.profiler.Profile", "activities", expected, given);
  if (!Array.isArray(activities) || activities.length === 0) throw wrong('"cpu", "cuda" or both');
  for (const activity of activities) {
    if (!ACTIVITIES.includes(activity)) {
      throw argumentError("torch.profiler.Profile", "activities", '"cpu" or "cuda"', activity);
    }
  }
  if (activities.includes("cuda") && !cuda) throw wrong('"cpu" alone, as there is no CUDA device');
  return activities;
}

/**
 * Records what libtorch does for this thread between {@link start} and {@link stop}: every operator, and the ranges
 * that {@link recordFunction} names. A process records one profile at a time, and a `Profile` records once.
 *
 * In PyTorch: `torch.profiler.profile`.
 */
export class Profile {
  readonly #activities: readonly ProfilerActivity[];
  readonly #recordShapes: boolean;
  #state: "new" | "recording" | "stopped" = "new";
  #trace: ProfilerTrace | null = null;
  #events: readonly ProfilerEvent[] | null = null;

  /** @throws WaveGPTError ERR_WAVEGPT_ARGUMENT for an activity that does not exist or is not here */
  constructor(options: ProfileOptions = {}) {
    this.#activities = activitiesOf(options.activities);
    this.#recordShapes = options.recordShapes ?? false;
  }

  /** @throws WaveGPTError ERR_WAVEGPT_PROFILER where a profile is being recorded, by this thread or another, or was */
  start(): void {
    if (this.#state === "stopped")
      throw profilerError("start", "this profile was recorded already");
    const has = (activity: ProfilerActivity) => this.#activities.includes(activity);
    binding.startProfiler(has("cpu"), has("cuda"), this.#recordShapes);
    this.#state = "recording";
    recording = true;
  }

  /**
   * Waits for the GPU where it is recorded. Ranges that are open end here.
   * @throws WaveGPTError ERR_WAVEGPT_PROFILER where it is not being recorded
   */
  stop(): void {
    if (this.#state !== "recording") {
      throw profilerError("stop", `this profile is not being recorded: it is ${this.#state}`);
    }
    this.#state = "stopped";
    recording = false;
    try {
      if (this.#activities.includes("cuda")) binding.synchronize("cuda");
    } finally {
      this.#trace = binding.stopProfiler();
    }
  }

  /** Stops where it is being recorded. */
  [Symbol.dispose](): void {
    if (this.#state === "recording") this.stop();
  }

  /** What was recorded, in the order in which it began on its thread. */
  events(): readonly ProfilerEvent[] {
    this.#events ??= binding.profilerEvents(this.#stopped("events"));
    return this.#events;
  }

  /** {@link events}, added up by name. */
  keyAverages(): KeyAverages {
    return keyAverages(this.events());
  }

  /**
   * Writes the profile in the Chrome trace event format, which https://ui.perfetto.dev and chrome://tracing open;
   * compressed where the name ends in `.gz`. An existing file is replaced. libtorch gives the trace away: once.
   *
   * @throws WaveGPTError ERR_WAVEGPT_PROFILER before {@link stop} and the second time, ERR_WAVEGPT_WRITE where not all
   * could be written; the system's error where the file cannot be made
   */
  exportChromeTrace(path: string): void {
    const wrong = (expected: string) =>
      argumentError("torch.profiler.Profile.exportChromeTrace", "path", expected, path);
    if (typeof path !== "string" || path === "") throw wrong("a file's path");
    // libtorch takes one for a slash.
    if (path.includes("\\") && process.platform !== "win32") {
      throw wrong("a path without backslashes");
    }
    writeChromeTrace(this.#stopped("exportChromeTrace"), path);
  }

  #stopped(method: string): ProfilerTrace {
    if (this.#trace === null) {
      throw profilerError(method, `stop the profile first: it is ${this.#state}`);
    }
    return this.#trace;
  }
}

/**
 * Records what a synchronous function does.
 *
 * @example
 * const profile = torch.profiler.profile({ recordShapes: true }, () => model.forward(x).sum().backward());
 * console.log(profile.keyAverages().table({ rowLimit: 10 }));
 * profile.exportChromeTrace("trace.json.gz");
 *
 * @throws what the function throws, after the profile was stopped; and as {@link Profile.start}
 */
export function profile(options: ProfileOptions, run: () => unknown): Profile {
  const recorded = new Profile(options);
  recorded.start();
  try {
    requireSynchronous("torch.profiler.profile", run());
  } finally {
    recorded.stop();
  }
  return recorded;
}

/** A guard of nothing, while nothing is recorded. */
const idle = guard(() => undefined);

/** {@link recordFunction} for a block: `using _ = torch.profiler.recordFunctionGuard("data");`. */
export function recordFunctionGuard(name: string): Guard {
  if (!recording) return idle;
  const range = binding.beginProfilerRange(name);
  return guard(() => binding.endProfilerRange(range));
}

/**
 * Runs a synchronous function as a named range of the profile that is being recorded, if one is; else just runs it.
 * libtorch keeps printable ASCII: a `"` in the name becomes `'`, a `\` becomes `/`, and other characters `?`.
 */
export function recordFunction<T>(name: string, run: () => T): T {
  if (!recording) return requireSynchronous("torch.profiler.recordFunction", run());
  const range = binding.beginProfilerRange(name);
  try {
    return requireSynchronous("torch.profiler.recordFunction", run());
  } finally {
    binding.endProfilerRange(range);
  }
}
