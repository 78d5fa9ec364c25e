import { WaveGPTError } from "../../errors.js";

/** What a schedule needs of an optimizer. */
export interface Schedulable {
  readonly paramGroups: readonly { lr: number; initialLr?: number }[];
}

/** Where a schedule stands, as JSON: PyTorch's names, with the schedule's own settings beside them. */
export interface SchedulerState {
  last_epoch: number;
  base_lrs?: number[];
  _step_count?: number;
  _last_lr: number[];
  /** The states of the schedules below, of {@link SequentialLR} and {@link ChainedScheduler}. */
  _schedulers?: SchedulerState[];
  [setting: string]: unknown;
}

/**
 * The base of the learning-rate schedules: one {@link step} after each of the optimizer's steps (or epochs) sets
 * every group's `lr`. Constructing one sets the first. All follow torch.optim.lr_scheduler in arithmetic.
 */
export abstract class LRScheduler {
  readonly optimizer: Schedulable;
  /** How many steps were taken. */
  lastEpoch = -1;
  /** Each group's learning rate that the schedule starts from. */
  protected baseLrs: number[];
  protected stepCount = 0;
  /** True during the constructor's own step. */
  protected initial = false;
  #lastLr: number[] = [];

  constructor(optimizer: Schedulable) {
    this.optimizer = optimizer;
    for (const group of optimizer.paramGroups) {
      group.initialLr ??= group.lr;
    }
    this.baseLrs = optimizer.paramGroups.map(({ initialLr, lr }) => initialLr ?? lr);
  }

  /** Each group's next learning rate, at {@link lastEpoch}. */
  protected abstract computeLrs(): number[];

  /** As {@link computeLrs}, without reference to the rates before; null where there is no such form. */
  protected closedFormLrs(): number[] | null {
    return null;
  }

  /** The schedule's own settings, by PyTorch's names. */
  protected settings(): Record<string, unknown> {
    return {};
  }

  /** Advances by one and sets the groups' learning rates. */
  step(): void {
    this.stepCount += 1;
    this.lastEpoch += 1;
    this.#assign(this.computeLrs());
  }

  /** Each group's learning rate, as last set. */
  getLastLr(): number[] {
    return [...this.#lastLr];
  }

  /** The first group's learning rate, as last set. */
  get lr(): number {
    return this.#lastLr[0] ?? Number.NaN;
  }

  /** To be saved as JSON. */
  stateDict(): SchedulerState {
    return {
      ...this.settings(),
      base_lrs: [...this.baseLrs],
      last_epoch: this.lastEpoch,
      _step_count: this.stepCount,
      _last_lr: [...this.#lastLr],
    };
  }

  /**
   * Continues where `state` was taken. The optimizer's groups get the learning rates of then; a state whose
   * settings or number of groups differ from this schedule's is an error.
   */
  loadStateDict(state: SchedulerState): void {
    this.checkSettings(state);
    const groups = this.optimizer.paramGroups.length;
    if (state._last_lr.length !== groups) {
      throw scheduleError(
        `${this.constructor.name} has ${groups} groups; the state has learning rates for ${state._last_lr.length}.`,
      );
    }
    this.lastEpoch = state.last_epoch;
    this.stepCount = state._step_count ?? state.last_epoch + 1;
    this.baseLrs = [...(state.base_lrs ?? this.baseLrs)];
    this.#assign(state._last_lr);
  }

  protected checkSettings(state: SchedulerState): void {
    for (const [name, value] of Object.entries(this.settings())) {
      const saved = state[name];
      if (saved !== undefined && JSON.stringify(saved) !== JSON.stringify(value)) {
        throw scheduleError(
          `${this.constructor.name}'s state was saved with ${name} ${JSON.stringify(saved)}; this schedule has ${JSON.stringify(value)}.`,
        );
      }
    }
  }

  /** The constructor's step, and {@link SequentialLR}'s when it starts over. */
  takeInitialStep(): void {
    this.stepCount = 0;
    this.initial = true;
    try {
      this.step();
    } finally {
      this.initial = false;
    }
  }

  /** Starts from step 0, as {@link SequentialLR} does when the schedule's turn comes. */
  restart(): void {
    this.lastEpoch = 0;
    this.#assign(this.closedFormLrs() ?? this.computeLrs());
  }

  /** Takes back the constructor's step. */
  undoInitialStep(): void {
    this.lastEpoch -= 1;
  }

  /** The groups' learning rates as they are. */
  protected currentLrs(): number[] {
    return this.optimizer.paramGroups.map(({ lr }) => lr);
  }

  /** The groups' learning rates times a factor. */
  protected scaledLrs(factor: number): number[] {
    return this.currentLrs().map((lr) => lr * factor);
  }

  protected setLastLr(rates: readonly number[]): void {
    this.#lastLr = [...rates];
  }

  #assign(rates: readonly number[]): void {
    for (const [index, group] of this.optimizer.paramGroups.entries()) {
      group.lr = rates[index] as number;
    }
    this.setLastLr(this.currentLrs());
  }
}

/** Throws where a schedule's setting is not a whole number of at least `least`. */
export function checkCount(schedule: string, name: string, value: number, least = 1): void {
  if (!Number.isInteger(value) || value < least) {
    throw scheduleError(
      `${schedule}'s ${name} must be an integer of at least ${least}; got ${value}.`,
      name,
    );
  }
}

/** Throws where a schedule's setting is outside [low, high]. */
export function checkRange(
  schedule: string,
  name: string,
  value: number,
  [low, high]: readonly [number, number],
): void {
  if (!(value >= low && value <= high)) {
    throw scheduleError(
      `${schedule}'s ${name} must be from ${low} to ${high}; got ${value}.`,
      name,
    );
  }
}

export function scheduleError(message: string, argument?: string): WaveGPTError {
  return new WaveGPTError(
    "ERR_WAVEGPT_ARGUMENT",
    message,
    argument === undefined ? {} : { argument },
  );
}
