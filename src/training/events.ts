import type { EventAverage } from "../../lib/index.js";
import type { WaveNetMemory } from "../model/index.js";
import type { MetricRecord } from "../run/metrics.js";
import type { Plan } from "./plan.js";

/** What a training run tells its caller, as it happens. */
export type TrainEvent =
  | {
      readonly type: "start";
      readonly out: string;
      readonly model: string;
      readonly parameters: number;
      /** How many tokens a causal WaveNet's convolutions see; null for a model without one. */
      readonly receptiveField: number | null;
      /** How the WaveNet's retention layers fade; null without any. */
      readonly memory: WaveNetMemory | null;
      readonly device: string;
      readonly threads: number;
      readonly dtype: string;
      readonly text: {
        title: string;
        path: string;
        characters: number;
        /** Its kind, e.g. `"char"`. */
        tokenizer: string;
        vocabulary: number;
      };
      readonly tokens: { train: number; val: number };
      readonly plan: Plan;
      /** The step a resumed run goes on from, else 0. */
      readonly step: number;
      readonly resumed: boolean;
    }
  | {
      /** After every optimizer step; its loss is not known before the next `train` event. */
      readonly type: "step";
      readonly step: number;
      readonly steps: number;
      readonly lr: number;
      readonly tokensPerSecond: number;
      readonly secondsLeft: number;
    }
  | { readonly type: "train"; readonly record: MetricRecord }
  | { readonly type: "evaluating"; readonly step: number }
  | { readonly type: "val"; readonly record: MetricRecord; readonly best: boolean }
  | {
      readonly type: "sample";
      readonly step: number;
      readonly prompt: string;
      readonly text: string;
    }
  | { readonly type: "checkpoint"; readonly step: number; readonly path: string }
  | ({ readonly type: "profile" } & ProfileSummary)
  | {
      readonly type: "download";
      readonly what: string;
      readonly done: number;
      readonly total: number | null;
    }
  | { readonly type: "notice"; readonly message: string }
  | { readonly type: "end"; readonly result: TrainResult };

/** Steps that were recorded, and the operators and ranges with the most time of their own. */
export interface ProfileSummary {
  /** The trace's file, absolute. */
  readonly path: string;
  readonly firstStep: number;
  readonly lastStep: number;
  /** All that was recorded; the operators' own times are parts of it. */
  readonly microseconds: number;
  readonly operators: readonly EventAverage[];
}

/** The best model so far, by held-out loss. */
export interface BestModel {
  readonly step: number;
  readonly loss: number;
}

/** How a run ended. */
export interface TrainResult {
  /** The run's folder, absolute. */
  readonly out: string;
  readonly step: number;
  readonly steps: number;
  /** False where it was interrupted; it was saved and can be resumed. */
  readonly finished: boolean;
  readonly best: BestModel | null;
  /** Seconds spent, over all resumptions. */
  readonly seconds: number;
}
