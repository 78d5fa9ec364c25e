import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Held-out loss by how much text a position has before it. */
export interface PositionLosses {
  readonly blockSize: number;
  /** How many pieces of the text the means are over. */
  readonly pieces: number;
  /** At each position of a piece, whose first has nothing before it: mean loss, nats a token. */
  readonly loss: readonly number[];
}

/** Mean losses over positions with from 2^k to below 2^(k + 1) tokens of history. */
export function byHistory({ loss }: PositionLosses): { x: number[]; y: number[] } {
  const x: number[] = [];
  const y: number[] = [];
  for (let from = 1; from < loss.length; from *= 2) {
    x.push(from);
    y.push(mean(loss.slice(from, 2 * from)));
  }
  return { x, y };
}

/** Mean losses by the position in the block, over the blocks with at least so many tokens of history. */
export function byPlace(
  { loss, blockSize }: PositionLosses,
  history = 512,
): { x: number[]; y: number[] } {
  const first = Math.min(Math.ceil(history / blockSize) * blockSize, loss.length - blockSize);
  const x = Array.from({ length: blockSize }, (_, place) => place);
  const y = x.map((place) => mean(loss.filter((_, at) => at >= first && at % blockSize === place)));
  return { x, y };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** In a run's folder. */
export const POSITIONS_FILE = "positions.json";

/** What {@link POSITIONS_FILE} holds: the losses, and the step they were taken after. */
export interface StoredPositions extends PositionLosses {
  readonly step: number;
}

/** The losses by position that a run's folder holds, or null where there are none of its last step. */
export function readPositions(folder: string, step: number): PositionLosses | null {
  const path = join(folder, POSITIONS_FILE);
  if (!existsSync(path)) return null;
  const stored = JSON.parse(readFileSync(path, "utf8")) as StoredPositions;
  return stored.step === step ? stored : null;
}
