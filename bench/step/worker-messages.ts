import type { Settings } from "../../src/config/settings.js";

/** What a worker is asked to prepare a training with; `bench/peer/step.py` is asked for a little more. */
export interface Given {
  readonly settings: Settings;
  readonly vocabulary: number;
  /** File of the text's tokens, 16 bits each. */
  readonly tokens: string;
  /** File of the first weights. */
  readonly weights: string;
  readonly threads: number;
}
