import { LRScheduler, type Schedulable, type SchedulerState, scheduleError } from "./scheduler.js";

/** A schedule made of others. */
abstract class CompositeScheduler extends LRScheduler {
  protected readonly schedules: readonly LRScheduler[];

  constructor(optimizer: Schedulable, schedules: readonly LRScheduler[]) {
    super(optimizer);
    if (schedules.length === 0) {
      throw scheduleError(`${new.target.name} needs at least one schedule; got none.`);
    }
    for (const [index, schedule] of schedules.entries()) {
      if (schedule.optimizer !== optimizer) {
        throw scheduleError(
          `${new.target.name}'s schedule ${index} is for another optimizer than the others.`,
        );
      }
    }
    this.schedules = [...schedules];
  }

  override stateDict(): SchedulerState {
    const { base_lrs: _, ...state } = super.stateDict();
    return { ...state, _schedulers: this.schedules.map((schedule) => schedule.stateDict()) };
  }

  override loadStateDict(state: SchedulerState): void {
    const below = state._schedulers ?? [];
    if (below.length !== this.schedules.length) {
      throw scheduleError(
        `${this.constructor.name} has ${this.schedules.length} schedules; the state has ${below.length}.`,
      );
    }
    for (const [index, schedule] of this.schedules.entries()) {
      schedule.loadStateDict(below[index] as SchedulerState);
    }
    // Last, so that the groups get the rates of the whole.
    super.loadStateDict(state);
  }

  override undoInitialStep(): void {
    for (const schedule of this.schedules) {
      schedule.undoInitialStep();
    }
  }
}

/** Runs several schedules one after the other: the next takes over, from its own start, at each milestone. */
export class SequentialLR extends CompositeScheduler {
  readonly milestones: readonly number[];

  constructor(
    optimizer: Schedulable,
    { schedules, milestones }: { schedules: readonly LRScheduler[]; milestones: readonly number[] },
  ) {
    super(optimizer, schedules);
    if (milestones.length !== schedules.length - 1) {
      throw scheduleError(
        `SequentialLR needs one milestone less than schedules, ${schedules.length - 1}; got ${milestones.length}.`,
        "milestones",
      );
    }
    this.milestones = [...milestones];
    for (const [index, schedule] of schedules.entries()) {
      if (index > 0 && schedule instanceof CompositeScheduler) {
        throw scheduleError(
          `SequentialLR's schedule ${index} is a ${schedule.constructor.name}, which cannot start over when its turn comes.`,
          "schedules",
        );
      }
    }
    for (const group of optimizer.paramGroups) {
      group.lr = group.initialLr ?? group.lr;
    }
    // Each schedule's constructor took a step; only the one whose turn it is at 0 takes it again.
    this.undoInitialStep();
    this.lastEpoch = 0;
    const [, active] = this.#active();
    active.takeInitialStep();
    this.setLastLr(active.getLastLr());
  }

  override step(): void {
    this.stepCount += 1;
    this.lastEpoch += 1;
    const [index, active] = this.#active();
    if (index > 0 && this.milestones[index - 1] === this.lastEpoch) {
      active.restart();
    } else {
      active.step();
    }
    this.setLastLr(active.getLastLr());
  }

  #active(): [number, LRScheduler] {
    const index = this.milestones.filter((milestone) => milestone <= this.lastEpoch).length;
    return [index, this.schedules[index] as LRScheduler];
  }

  protected override computeLrs(): number[] {
    return this.currentLrs();
  }

  protected override settings(): Record<string, unknown> {
    return { _milestones: this.milestones };
  }
}

/** Steps several schedules together; each multiplies what the ones before it left. */
export class ChainedScheduler extends CompositeScheduler {
  constructor(schedules: readonly LRScheduler[]) {
    const [first] = schedules;
    if (first === undefined) {
      throw scheduleError("ChainedScheduler needs at least one schedule; got none.");
    }
    super(first.optimizer, schedules);
    this.lastEpoch = 0;
    this.setLastLr(this.currentLrs());
  }

  override step(): void {
    this.stepCount += 1;
    this.lastEpoch += 1;
    for (const schedule of this.schedules) {
      schedule.step();
    }
    this.setLastLr(this.currentLrs());
  }

  protected override computeLrs(): number[] {
    return this.currentLrs();
  }
}
