import type { Style } from "./style.js";

/** Where a run is. */
export interface BarState {
  readonly step: number;
  readonly steps: number;
  /** What stands after the bar, most important first; the last are left out on a narrow terminal. */
  readonly facts: readonly string[];
}

const NARROWEST = 10;
const WIDEST = 40;

/** A progress bar in one line of at most `columns` characters. */
export function renderBar({ step, steps, facts }: BarState, columns: number, style: Style): string {
  const share = steps === 0 ? 1 : Math.min(1, step / steps);
  const total = steps.toLocaleString("en-US");
  const count = `${step.toLocaleString("en-US").padStart(total.length)}/${total}`;
  const percent = `${Math.floor(share * 100)}%`.padStart(4);
  const shown = [...facts];
  const room = () =>
    columns - 1 - [count, percent, ...shown].reduce((sum, part) => sum + part.length + 2, 0);
  while (shown.length > 1 && room() < NARROWEST) shown.pop();
  const width = Math.max(0, Math.min(WIDEST, room()));
  const done = Math.round(share * width);
  const bar = style.cyan("━".repeat(done)) + style.dim("─".repeat(width - done));
  return [count, bar, percent, ...shown].filter((part) => part !== "").join("  ");
}
