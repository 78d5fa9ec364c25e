import { copy } from "./copy.js";
import type { ProbeTask } from "./episode.js";
import { needle } from "./needle.js";
import { recall } from "./recall.js";

export { PROBE_VOCABULARY, type ProbeTask } from "./episode.js";
export { type ProbeBatch, type ProbeDistance, ProbeStream, probeDistances } from "./stream.js";

/** The synthetic tasks. */
export const PROBE_TASKS: readonly ProbeTask[] = [needle, copy, recall];
