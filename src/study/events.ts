import type { ProbeResult } from "../probes/train.js";
import type { TrainEvent } from "../training/events.js";
import type { ResolvedArm } from "./resolve.js";

/** Which run of a study. */
interface Which {
  readonly arm: string;
  readonly seed: number;
}

/** What a study tells its caller, as it happens. */
export type StudyEvent =
  | {
      readonly type: "study";
      readonly out: string;
      readonly title: string;
      readonly arms: readonly ResolvedArm[];
      readonly seeds: readonly number[];
      readonly runs: number;
      /** Of the runs, those finished before. */
      readonly kept: number;
      /** Seconds that the rest will take, by a few steps of each arm; null where that was not tried. */
      readonly seconds: number | null;
    }
  | ({ readonly type: "run"; readonly event: TrainEvent } & Which)
  | ({
      readonly type: "probe";
      readonly task: string;
      readonly step: number;
      readonly steps: number;
      readonly loss: number;
    } & Which)
  | ({ readonly type: "probed"; readonly task: string } & Which & ProbeResult)
  | { readonly type: "timing"; readonly round: number; readonly rounds: number }
  | { readonly type: "notice"; readonly message: string };
