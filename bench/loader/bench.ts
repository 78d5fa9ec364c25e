import { spawnSync } from "node:child_process";
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { type optim, torch } from "../../lib/index.js";
import { resolveSettings } from "../../src/config/resolve.js";
import type { Settings, SettingsInput } from "../../src/config/settings.js";
import { DataLoader, openTokenData } from "../../src/data/index.js";
import { Random } from "../../src/data/random.js";
import { npyHeader } from "../../src/data/token-file.js";
import type { LanguageModel } from "../../src/model/index.js";
import { precisionOf } from "../../src/training/precision.js";
import { buildModel, buildOptimizer } from "../../src/training/setup.js";
import { trainStep } from "../../src/training/step.js";
import type { BenchOptions } from "../options.js";
import { type Spread, spreadOf } from "../pairs/spread.js";

/** The corpus: so many shards of so many tokens, 256 MB in all. */
const SHARDS = 4;
const SHARD_TOKENS = 2 ** 25;
export const BATCH_SIZES = [1, 8, 32, 128, 512] as const;
/** Rows that are read of shards that are on the disk: each brings pages around it into memory, so soon all are there. */
const COLD_ROWS = 1024;
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

/** As {@link LoaderResult}, of the first steps on files that have to come from the disk. */
export interface ColdResult extends LoaderResult {
  /** Or reads each batch when it is asked for. */
  readonly readsAhead: boolean;
}

export interface LoaderReport {
  readonly tokens: number;
  readonly threads: number;
  readonly results: readonly LoaderResult[];
  /** Of the first training; empty on systems other than Linux, whose cache cannot be told to drop a file. */
  readonly cold: readonly ColdResult[];
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

/** Has the system drop what it keeps of the shards, so that their pages come from the disk again. */
function evict(folder: string): void {
  for (const name of readdirSync(folder)) {
    const file = path.join(folder, name);
    const opened = openSync(file, "r");
    fsyncSync(opened);
    closeSync(opened);
    const { status, stderr } = spawnSync("dd", [`if=${file}`, "iflag=nocache", "count=0"], {
      encoding: "utf8",
    });
    if (status !== 0) throw new Error(`dd could not drop the pages of ${file}: ${stderr}`);
  }
}

/** A training, and what its steps and their waiting took, in milliseconds. */
class Timed implements Disposable {
  readonly waits: number[] = [];
  readonly steps: number[] = [];
  readonly #model: LanguageModel;
  readonly #optimizer: optim.Optimizer;

  constructor(
    private readonly settings: Settings,
    vocabulary: number,
  ) {
    torch.manualSeed(settings.seed);
    this.#model = buildModel(settings, vocabulary, "cpu");
    this.#optimizer = buildOptimizer(settings, this.#model);
  }

  step(loader: DataLoader): void {
    using _ = torch.scope();
    const precision = precisionOf(this.settings.dtype, "cpu");
    const began = performance.now();
    const batch = loader.next();
    const ready = performance.now();
    trainStep(this.#model, this.#optimizer, batch, { ...this.settings, precision }).loss.number();
    this.waits.push(ready - began);
    this.steps.push(performance.now() - began);
  }

  forget(): void {
    this.waits.length = 0;
    this.steps.length = 0;
  }

  times() {
    const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
    const share = sum(this.waits) / sum(this.steps);
    return { step: spreadOf(this.steps), wait: spreadOf(this.waits), share };
  }

  [Symbol.dispose](): void {
    this.#optimizer.dispose();
    this.#model.dispose();
  }
}

function settingsOf(model: string, batchSize: number): Settings {
  const settings = { model, wavenet: "previous", dtype: "bfloat16", batchSize } as const;
  return resolveSettings({ preset: "shakespeare", settings: settings as SettingsInput }).settings;
}

function measureOne(
  folder: string,
  { name, model, vocabulary }: (typeof MODELS)[number],
  batchSize: number,
  quick: boolean,
): LoaderResult {
  const settings = settingsOf(model, batchSize);
  const { blockSize, seed } = settings;
  const tokens = openTokenData(folder, 0.999).train;
  using loader = new DataLoader({ tokens, batchSize, blockSize, seed });
  using timed = new Timed(settings, vocabulary);
  // Until the compiler has seen enough of the loader, which takes some hundred rows.
  const warm = performance.now() + (quick ? 0 : 2000);
  for (let i = 0; i < 2 || (performance.now() < warm && i < 1000); i++) timed.step(loader);
  timed.forget();
  const seconds = quick ? 0.05 : 5;
  const began = performance.now();
  const { steps } = timed;
  while (steps.length < 3 || (performance.now() - began < 1000 * seconds && steps.length < 500)) {
    timed.step(loader);
  }
  return { name, batchSize, ...timed.times() };
}

/**
 * The first steps on shards of which the system keeps nothing, but for the very first batch. The shards are new ones: what
 * is mapped anywhere, the system does not drop.
 */
function measureCold(
  folder: string,
  { name, model, vocabulary }: (typeof MODELS)[number],
  batchSize: number,
  readAhead: number | undefined,
  quick: boolean,
): ColdResult {
  const settings = settingsOf(model, batchSize);
  const { blockSize, seed } = settings;
  using timed = new Timed(settings, vocabulary);
  const other = new Uint16Array(1 << 20);
  using warm = new DataLoader({ tokens: other, batchSize, blockSize, seed });
  for (let i = 0; i < (quick ? 1 : Math.max(2, 200 / batchSize)); i++) timed.step(warm);
  evict(folder);
  const tokens = openTokenData(folder, 0.999).train;
  const ahead = readAhead === undefined ? {} : { readAhead };
  using loader = new DataLoader({ tokens, batchSize, blockSize, seed, ...ahead });
  timed.step(loader);
  timed.forget();
  const steps = quick ? 2 : Math.max(4, Math.min(200, COLD_ROWS / batchSize));
  for (let i = 0; i < steps; i++) timed.step(loader);
  return { name, batchSize, readsAhead: readAhead === undefined, ...timed.times() };
}

/** How long training steps wait for batches out of a corpus that is mapped into memory, at batch sizes 1 to 512. */
export async function measureLoader({ quick, threads, only }: BenchOptions): Promise<LoaderReport> {
  torch.setNumThreads(threads);
  const shardTokens = quick ? 2 ** 20 : SHARD_TOKENS;
  const results: LoaderResult[] = [];
  const cold: ColdResult[] = [];
  for (const model of MODELS.filter(({ name }) => name.includes(only))) {
    const folder = mkdtempSync(path.join(tmpdir(), "wavegpt-bench-"));
    try {
      writeShards(folder, model.vocabulary, shardTokens);
      for (const batchSize of quick ? BATCH_SIZES.slice(0, 3) : BATCH_SIZES) {
        results.push(measureOne(folder, model, batchSize, quick));
      }
      if (model !== MODELS[0] || process.platform !== "linux") continue;
      for (const batchSize of quick ? [1] : BATCH_SIZES) {
        for (const readAhead of [undefined, 0]) {
          const own = path.join(folder, `cold-${cold.length}`);
          mkdirSync(own);
          writeShards(own, model.vocabulary, shardTokens);
          cold.push(measureCold(own, model, batchSize, readAhead, quick));
          rmSync(own, { recursive: true });
        }
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
  return { tokens: SHARDS * shardTokens, threads, results, cold };
}
