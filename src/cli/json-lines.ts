import type { CompareEvent } from "../compare.js";

/** An event as an object for `--json`, or null for those that only move a progress bar. */
export function jsonLine(event: CompareEvent): Record<string, unknown> | null {
  switch (event.type) {
    case "step":
    case "evaluating":
    case "download":
      return null;
    case "train":
      return { event: "train", ...event.record };
    case "val":
      return { event: "val", ...event.record, best: event.best };
    case "end":
      return { event: "end", ...event.result };
    default: {
      const { type, ...rest } = event;
      return { event: type, ...rest };
    }
  }
}
