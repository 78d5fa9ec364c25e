import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { packageRoot } from "../../lib/package-root.js";
import type { BenchOptions } from "../options.js";
import { ratiosOf, type Spread, spreadOf } from "../pairs/spread.js";
import { takeTurns } from "../pairs/turns.js";
import { Worker } from "../pairs/worker.js";
import { measurePrepare, type PrepareResult } from "./prepare.js";
import { type BenchText, benchTexts } from "./texts.js";

/** Characters of each document that a text is cut into for batches; `bench/peer/tokenizer.py` has the same. */
export const DOCUMENT = 65_536;
/** What each begins with where special tokens are allowed. */
export const END_OF_TEXT = "<|endoftext|>";
/** Tokens that are learnt. */
export const VOCABULARY = 16_384;

export interface EncodeResult {
  readonly text: string;
  readonly megabytes: number;
  readonly tokens: number;
  readonly threads: number;
  /** MB a second, by round. */
  readonly ours: readonly number[];
  readonly theirs: readonly number[];
  /** Ours over theirs, by round. */
  readonly ratio: Spread;
}

export interface TrainResult {
  readonly text: string;
  readonly megabytes: number;
  readonly vocabSize: number;
  /** Seconds, by round. */
  readonly ours: readonly number[];
  readonly theirs: readonly number[];
  /** How many times faster, by round. */
  readonly ratio: Spread;
}

export interface TokenizerReport {
  readonly versions: Readonly<Record<string, string>>;
  readonly rounds: number;
  /** One text at a time, by one thread. */
  readonly encode: readonly EncodeResult[];
  /** Batches of documents, by one thread and by all; then the same where special tokens are allowed. */
  readonly batch: readonly EncodeResult[];
  /** Null where it is not asked for. */
  readonly prepare: PrepareResult | null;
  /** Null where it is not asked for. */
  readonly train: TrainResult | null;
}

interface Sides {
  readonly ours: Worker;
  readonly theirs: Worker;
}

/** MB/s of both sides in turns; each turn takes about the time of `milliseconds`. */
async function inTurns(
  sides: Sides,
  what: "encode" | "batch",
  details: { readonly threads?: number; readonly special?: boolean },
  { megabytes }: BenchText,
  { rounds, milliseconds }: { rounds: number; milliseconds: number },
): Promise<Record<"ours" | "theirs", number[]>> {
  const times = { ours: 1, theirs: 1 };
  for (const side of ["ours", "theirs"] as const) {
    const once = await sides[side].ask<number>(what, { ...details, times: 1 });
    times[side] = Math.max(1, Math.round(milliseconds / 1000 / once));
  }
  return takeTurns(["ours", "theirs"], rounds, async (side) => {
    const seconds = await sides[side].ask<number>(what, { ...details, times: times[side] });
    return (megabytes * times[side]) / seconds;
  });
}

async function measureTraining(
  sides: Sides,
  text: BenchText,
  rounds: number,
): Promise<TrainResult> {
  const measured = await takeTurns(["ours", "theirs"], rounds, (side) =>
    sides[side].ask<number>("train", { vocabSize: VOCABULARY }),
  );
  const { ours, theirs } = measured;
  return {
    ...{ text: text.name, megabytes: text.megabytes, vocabSize: VOCABULARY },
    ...{ ours, theirs, ratio: ratiosOf(theirs, ours) },
  };
}

/** Times GPT2Tokenizer beside Python's tiktoken, and learning a vocabulary beside Python's tokenizers. */
export async function measureTokenizer(options: BenchOptions): Promise<TokenizerReport> {
  const { quick, only, threads } = options;
  const rounds = options.rounds ?? (quick ? 2 : 15);
  const timing = { rounds, milliseconds: quick ? 50 : 300 };
  const folder = mkdtempSync(path.join(tmpdir(), "wavegpt-bench-"));
  const sides: Sides = {
    ours: Worker.node("TypeScript", "tokenizer/worker.js", {}),
    theirs: Worker.python("Python", "tokenizer.py", {}),
  };
  try {
    const ranks = path.join(packageRoot(), "node_modules", "tiktoken", "encoders", "gpt2.json");
    const versions = await sides.theirs.ask<Record<string, string>>("load", { ranks });
    const encode: EncodeResult[] = [];
    const batch: EncodeResult[] = [];
    let train: TrainResult | null = null;
    let prepare: PrepareResult | null = null;
    const all = await benchTexts(folder);
    const texts = all.filter(({ name }) => name.includes(only));
    if (texts.length === 0) throw new Error(`--only: expected part of a text's name, got ${only}`);
    for (const text of texts) {
      const tokens = await sides.ours.ask<number>("read", { file: text.file });
      const theirTokens = await sides.theirs.ask<number>("read", { file: text.file });
      if (tokens !== theirTokens) {
        throw new Error(`${text.name}: ${tokens} tokens, but ${theirTokens} from tiktoken`);
      }
      const result = async (what: "encode" | "batch", count: number, special = false) => {
        const details = what === "encode" ? {} : { threads: count, special };
        const { ours, theirs } = await inTurns(sides, what, details, text, timing);
        const { megabytes } = text;
        const name = special ? `${text.name}, special tokens allowed` : text.name;
        const ratio = ratiosOf(ours, theirs);
        return { text: name, megabytes, tokens, threads: count, ours, theirs, ratio };
      };
      encode.push(await result("encode", 1));
      // The largest of what people write.
      if (text !== all[1]) continue;
      const counts = [...new Set([1, threads])];
      for (const special of [false, true]) {
        for (const count of counts) batch.push(await result("batch", count, special));
      }
      prepare = await measurePrepare(text, counts, quick);
      train = await measureTraining(sides, text, quick ? 1 : Math.min(rounds, 5));
    }
    return { versions, rounds, encode, batch, prepare, train };
  } finally {
    await Promise.all([sides.ours.stop(), sides.theirs.stop()]);
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The median of MB a second. */
export function speedOf(values: readonly number[]): number {
  return spreadOf(values).median;
}
