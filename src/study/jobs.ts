import type { Settings } from "../config/settings.js";
import type { ProbeOptions, ProbeResult } from "../probes/train.js";
import type { TrainEvent, TrainResult } from "../training/events.js";
import type { PositionLosses } from "./position-losses.js";
import type { StepTimes, TimedArm } from "./timing.js";

/** What a worker process can be asked to do, by kind: what it is given and what it answers. */
export interface Jobs {
  train: {
    given: {
      readonly settings: Settings;
      readonly preset: string;
      readonly out: string;
      readonly resume: boolean;
    };
    answer: TrainResult;
    event: TrainEvent;
  };
  time: {
    given: { readonly arms: readonly TimedArm[]; readonly rounds: number; readonly steps: number };
    answer: readonly StepTimes[];
    event: { readonly round: number; readonly rounds: number };
  };
  positions: {
    /** The run's folder, and where to compute. */
    given: { readonly path: string } & Pick<Settings, "device" | "threads">;
    answer: PositionLosses | null;
    event: never;
  };
  probe: {
    given: ProbeOptions;
    answer: ProbeResult | null;
    event: { readonly step: number; readonly steps: number; readonly loss: number };
  };
}

export type JobKind = keyof Jobs;

/** From the parent to a worker. */
export type ToWorker =
  | { readonly [K in JobKind]: { readonly kind: K; readonly given: Jobs[K]["given"] } }[JobKind]
  | { readonly kind: "abort" };

/** From a worker to its parent. */
export type FromWorker =
  | { readonly event: unknown }
  | { readonly answer: unknown }
  | { readonly error: { readonly code: string; readonly message: string } };
