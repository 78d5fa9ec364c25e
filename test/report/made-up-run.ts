import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { resolveSettings } from "../../src/config/resolve.js";
import type { RunConfig } from "../../src/run/config.js";
import type { MetricRecord } from "../../src/run/metrics.js";

export interface MadeUp {
  readonly model?: "gpt" | "wavegpt";
  readonly seed?: number;
  readonly steps?: number;
  readonly logEvery?: number;
  readonly evalEvery?: number;
  /** The held-out loss it comes to. */
  readonly floor?: number;
  readonly title?: string;
  readonly data?: string;
}

/** Writes what a report reads of a run, with curves of the usual shape. */
export function writeMadeUpRun(folder: string, made: MadeUp = {}): MetricRecord[] {
  const { model = "wavegpt", seed = 1337, steps = 4360, logEvery = 10, evalEvery = 436 } = made;
  const { floor = 1.5, title = "Tiny Shakespeare", data } = made;
  mkdirSync(folder, { recursive: true });
  const { settings } = resolveSettings({
    settings: { model, seed, steps, ...(data ? { data } : {}) },
  });
  const config: RunConfig = {
    preset: "shakespeare",
    settings,
    text: {
      ...{ path: "/texts/a.txt", title, sha256: "0".repeat(64), characters: 1_115_394 },
      ...{ trainTokens: 892_315, valTokens: 223_079 },
    },
    steps,
    stepsPerEpoch: 436,
    parameters: model === "gpt" ? 816_193 : 1_018_306,
    machine: { device: "cpu", threads: 2, libtorch: "2.13.0", wavegpt: "0.1.0", node: "20.20.2" },
  };
  writeFileSync(join(folder, "config.json"), JSON.stringify({ model_type: model, ...config }));
  const noise = (step: number) => Math.sin(step * 12.9898 + seed) * 0.04;
  const records: MetricRecord[] = [];
  const add = (step: number, split: "train" | "val", loss: number) =>
    records.push({
      ...{ step, split, loss, lr: step > 0.7 * steps ? 3e-5 : 3e-4, tokens: step * 2048 },
      tokens_per_second: Math.round(11_000 + 600 * noise(step * 3) * 10),
      alpha: model === "gpt" ? null : 1 - 0.25 * (1 - Math.exp(-step / 900)),
      epoch: step / 436,
      seconds: step * 0.19,
      ...(split === "val" ? { bits_per_character: loss / Math.LN2 } : {}),
    });
  const curve = (step: number) =>
    floor + (4.2 - floor) * (0.6 * Math.exp(-step / 60) + 0.4 * Math.exp(-step / 900));
  for (let step = 0; step <= steps; step++) {
    if (step > 0 && step % logEvery === 0) add(step, "train", curve(step) + 0.1 + noise(step));
    if (step % evalEvery === 0) add(step, "val", curve(step));
  }
  writeFileSync(
    join(folder, "metrics.jsonl"),
    records.map((r) => `${JSON.stringify(r)}\n`).join(""),
  );
  return records;
}
