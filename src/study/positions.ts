import { nn, torch } from "../../lib/index.js";
import type { Settings } from "../config/settings.js";
import { asSequence, type TokenSequence } from "../data/token-sequence.js";
import { readRunConfig } from "../run/config.js";
import { runFolder } from "../run/folder.js";
import { loadRun } from "../run/load.js";
import { chooseDevice } from "../training/device.js";
import { RowReader } from "../training/row-reader.js";
import { loadTrainingText } from "../training/source.js";
import { nextTurn } from "../training/turn.js";
import type { PositionLosses } from "./position-losses.js";

/** Tokens of a piece: the longest history that is looked at. */
export const PIECE = 2048;
const ROWS = 32;

/** Tokens of several pieces, from `at`, as int64 (rows, count). */
function tensorOf(tokens: TokenSequence, starts: readonly number[], count: number, device: string) {
  const words = new BigInt64Array(starts.length * count);
  for (const [row, start] of starts.entries()) {
    const of = tokens.view(start, start + count);
    for (let i = 0; i < count; i++) words[row * count + i] = BigInt(of[i]!);
  }
  return torch.fromTypedArray(words, [starts.length, count]).to(device);
}

/**
 * The loss of a run's best model on its held-out text, cut into pieces that are read from an empty history
 * each, by the position in the piece: how many tokens of history there were.
 *
 * @returns null where `signal` was aborted, or the held-out text is shorter than a piece
 */
export async function lossByPosition(
  path: string,
  { device: wanted, threads }: Pick<Settings, "device" | "threads">,
  signal: AbortSignal,
): Promise<PositionLosses | null> {
  if (threads > 0) torch.setNumThreads(threads);
  const device = chooseDevice(wanted);
  const run = runFolder(path);
  const config = readRunConfig(run.config);
  const text = await loadTrainingText(
    { ...config.settings, data: config.text.path },
    { config, tokenizer: run.tokenizer },
    () => {},
  );
  const val = asSequence(text.val);
  const { model } = loadRun(path, { device });
  const { blockSize } = model.config;
  const length = Math.floor(PIECE / blockSize) * blockSize;
  const pieces = Math.floor((val.length - 1) / length);
  if (pieces === 0) return null;
  const sums = new Float64Array(length);
  try {
    for (let first = 0; first < pieces; first += ROWS) {
      const rows = Math.min(ROWS, pieces - first);
      using reader = new RowReader(model);
      for (let at = 0; at < length; at += blockSize) {
        if (signal.aborted) return null;
        const starts = Array.from({ length: rows }, (_, row) => (first + row) * length + at);
        addLosses(reader, val, starts, blockSize, device, sums.subarray(at, at + blockSize));
        await nextTurn();
      }
    }
  } finally {
    model.dispose();
  }
  return { blockSize, pieces, loss: Array.from(sums, (sum) => sum / pieces) };
}

/** Adds each position's loss, summed over the rows. */
function addLosses(
  reader: RowReader,
  tokens: TokenSequence,
  starts: readonly number[],
  blockSize: number,
  device: string,
  sums: Float64Array,
): void {
  using _ = torch.scope();
  const x = tensorOf(tokens, starts, blockSize, device);
  const next = starts.map((start) => start + 1);
  const targets = tensorOf(tokens, next, blockSize, device);
  const { logits } = torch.noGrad(() => reader.forward(x));
  const losses = nn.functional.crossEntropy(logits.flatten(0, 1), targets.reshape([-1]), {
    reduction: "none",
  });
  const byPosition = losses.view(starts.length, blockSize).sum(0).cpu().toTypedArray();
  for (let i = 0; i < blockSize; i++) sums[i]! += byPosition[i] as number;
}
