import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { SettingsInput } from "../../src/config/settings.js";
import { listCheckpoints } from "../../src/run/checkpoints.js";
import { readMetrics } from "../../src/run/metrics.js";
import { device } from "../device.js";

/** Settings of a run of a second, with everything on that has a state: dropout, clipping, a schedule. */
export function tinySettings(data: string, more: SettingsInput = {}): SettingsInput {
  return {
    data,
    nEmbd: 16,
    nHeads: 2,
    nLayers: 1,
    blockSize: 16,
    batchSize: 4,
    accumulate: 2,
    dropout: 0.2,
    steps: 24,
    schedule: "cosine",
    warmupSteps: 0.2,
    learningRate: 1e-2,
    clip: 1,
    logEvery: 5,
    evalEvery: 8,
    evalBatches: 4,
    sampleTokens: 12,
    checkpointEvery: 10,
    device: device as "cpu" | "cuda" | "mps",
    threads: 1,
    ...more,
  };
}

/** What two runs of the same settings must have in common, bit for bit: all but what was timed. */
export function fingerprint(folder: string): Record<string, unknown> {
  const newest = listCheckpoints(join(folder, "checkpoints")).at(-1)!;
  const { seconds: _, ...state } = JSON.parse(
    readFileSync(join(newest.path, "state.json"), "utf8"),
  );
  const history = join(newest.path, "history.safetensors");
  const bytes = (path: string) => readFileSync(path).toString("base64");
  return {
    files: readdirSync(folder).sort(),
    step: newest.step,
    weights: bytes(join(newest.path, "model.safetensors")),
    optimizer: bytes(join(newest.path, "optimizer.safetensors")),
    history: existsSync(history) ? bytes(history) : null,
    state,
    best: bytes(join(folder, "model.safetensors")),
    metrics: readMetrics(join(folder, "metrics.jsonl")).map(
      ({ tokens_per_second: _speed, seconds: _time, ...rest }) => rest,
    ),
  };
}
