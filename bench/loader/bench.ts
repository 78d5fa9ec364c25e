import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { torch } from "../../lib/index.js";
import { resolveSettings } from "../../src/config/resolve.js";
import { DataLoader, openTokenData } from "../../src/data/index.js";
import { Random } from "../../src/data/random.js";
import { npyHeader } from "../../src/data/token-file.js";
import { precisionOf } from "../../src/training/precision.js";
import { buildModel, buildOptimizer } from "../../src/training/setup.js";
import { trainStep } from "../../src/training/step.js";
import type { BenchOptions } from "../options.js";
import { type Spread, spreadOf } from "../pairs/spread.js";

/** The corpus: so many shards of so many tokens, 256 MB in all. */
const SHARDS = 4;
const SHARD_TOKENS = 2 ** 25;
export const BATCH_SIZES = [1, 8, 32, 128, 512] as const;
/** The quickest step there is, and the one of the preset openwebtext's vocabulary. */
const MODELS = [
  { name: "gpt 65 bfloat16", model: "gpt", vocabulary: 65 },
  { name: "wavegpt 50304 bfloat16", model: "wavegpt", vocabulary: 50_304 },
] as const;

export interface LoaderResult {
  readonly name: string;
  readonly batchSize: number;
  /** Milliseconds a step, the data included, by step. */
  readonly step: Spread;
  /** Milliseconds until a batch was there, by step. */
  readonly wait: Spread;
  /** All the waiting over all the time. */
  readonly share: number;
}

export interface LoaderReport {
  readonly tokens: number;
  readonly threads: number;
  readonly results: readonly LoaderResult[];
}

function writeShards(folder: string, vocabulary: number, shardTokens: number): void {
  const random = new Random(1);
  // A shard repeats a million ids: which they are makes no difference.
  const ids = Uint16Array.from({ length: 2 ** 20 }, () => random.below(vocabulary));
  const piece = new Uint8Array(ids.buffer);
  for (let shard = 0; shard < SHARDS; shard++) {
    const file = path.join(folder, `shard_train_${shard}.npy`);
    writeFileSync(file, npyHeader("uint16", shardTokens));
    for (let at = 0; at < shardTokens; at += ids.length) writeFileSync(file, piece, { flag: "a" });
  }
}

function measureOne(
  folder: string,
  { name, model: kind, vocabulary }: (typeof MODELS)[number],
  batchSize: number,
  quick: boolean,
): LoaderResult {
  const { settings } = resolveSettings({
    preset: "shakespeare",
    settings: { model: kind, dtype: "bfloat16", batchSize },
  });
  const { blockSize, seed } = settings;
  const { train } = openTokenData(folder, 0.999);
  const loader = new DataLoader({ tokens: train, batchSize, blockSize, seed });
  torch.manualSeed(seed);
  using model = buildModel(settings, vocabulary, "cpu");
  using optimizer = buildOptimizer(settings, model);
  const precision = precisionOf(settings.dtype, "cpu");
  const waits: number[] = [];
  const steps: number[] = [];
  const next = () => {
    using _ = torch.scope();
    const began = performance.now();
    const batch = loader.next();
    const ready = performance.now();
    trainStep(model, optimizer, batch, { ...settings, precision }).loss.number();
    waits.push(ready - began);
    steps.push(performance.now() - began);
  };
  // Until the compiler has seen enough of the loader, which takes some hundred rows.
  const warm = performance.now() + (quick ? 0 : 2000);
  for (let i = 0; i < 2 || (performance.now() < warm && i < 1000); i++) next();
  waits.length = 0;
  steps.length = 0;
  const seconds = quick ? 0.05 : 5;
  const began = performance.now();
  while (steps.length < 3 || (performance.now() - began < 1000 * seconds && steps.length < 500)) {
    next();
  }
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  const share = sum(waits) / sum(steps);
  return { name, batchSize, step: spreadOf(steps), wait: spreadOf(waits), share };
}

/** How long training steps wait for batches out of a corpus that is mapped into memory, at batch sizes 1 to 512. */
export async function measureLoader({ quick, threads, only }: BenchOptions): Promise<LoaderReport> {
  torch.setNumThreads(threads);
  const shardTokens = quick ? 2 ** 20 : SHARD_TOKENS;
  const results: LoaderResult[] = [];
  for (const model of MODELS.filter(({ name }) => name.includes(only))) {
    const folder = mkdtempSync(path.join(tmpdir(), "wavegpt-bench-"));
    try {
      writeShards(folder, model.vocabulary, shardTokens);
      for (const batchSize of quick ? BATCH_SIZES.slice(0, 3) : BATCH_SIZES) {
        results.push(measureOne(folder, model, batchSize, quick));
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
  return { tokens: SHARDS * shardTokens, threads, results };
}
