import { ratiosOf, type Spread, spreadOf } from "../pairs/spread.js";
import type { Entrant } from "./bench.js";
import type { Dtype } from "./configurations.js";
import type { Other, Side } from "./sides.js";

/** Our fastest precision against another side's fastest. */
export interface BestAgainst {
  readonly dtype: Dtype;
  /** Our median time as a share of the side's. */
  readonly time: number;
  /** The same ratio round by round. */
  readonly byRound: Spread;
  /** Our peak memory as a share of the side's. */
  readonly memory: number;
  /** The same beyond what each process holds before there is a model. */
  readonly memoryGrowth: number;
  /** The most that `time` and `memory` should be. */
  readonly goal: { readonly time?: number; readonly memory?: number };
}

/** The best setting of each side: the precision whose median step is the shortest. */
export interface Best {
  /** Our own, or null where we were not measured. */
  readonly dtype: Dtype | null;
  readonly against: Partial<Record<Other, BestAgainst>>;
}

/** What this project wants to reach, on the CPU it is developed on. */
const GOALS: Readonly<Record<number, Partial<Record<Other, BestAgainst["goal"]>>>> = {
  65: { "PyTorch eager": { time: 0.35 }, "torch.compile": { time: 0.4 } },
  50304: { "PyTorch eager": { time: 0.15, memory: 0.4 }, "torch.compile": { time: 0.45 } },
};

const medianOf = ({ milliseconds }: Entrant) => spreadOf(milliseconds).median;

export function peakOf({ memory }: Entrant): number {
  return spreadOf(memory.map(({ peak }) => peak)).median;
}

function growthOf({ memory }: Entrant): number {
  return spreadOf(memory.map(({ peak, libraries }) => peak - libraries)).median;
}

function fastest(entrants: readonly Entrant[], side: Side): Entrant | null {
  return entrants
    .filter((one) => one.side === side)
    .reduce<Entrant | null>(
      (best, one) => (best === null || medianOf(one) < medianOf(best) ? one : best),
      null,
    );
}

export function bestOf(entrants: readonly Entrant[], vocabulary: number): Best {
  const ours = fastest(entrants, "TypeScript");
  const against: Partial<Record<Other, BestAgainst>> = {};
  if (ours === null) return { dtype: null, against };
  for (const side of new Set(entrants.map((one) => one.side))) {
    if (side === "TypeScript") continue;
    const theirs = fastest(entrants, side)!;
    against[side] = {
      dtype: theirs.dtype,
      time: medianOf(ours) / medianOf(theirs),
      byRound: ratiosOf(ours.milliseconds, theirs.milliseconds),
      memory: peakOf(ours) / peakOf(theirs),
      memoryGrowth: growthOf(ours) / growthOf(theirs),
      goal: GOALS[vocabulary]?.[side] ?? {},
    };
  }
  return { dtype: ours.dtype, against };
}
