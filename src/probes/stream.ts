import { IGNORED_TARGET } from "../data/index.js";
import { Random } from "../data/random.js";
import { drawNoise, type ProbeTask } from "./episode.js";

/** How far back answers lie. */
export interface ProbeDistance {
  /** Tokens beyond the window; null is within it, where a decoder alone can answer. */
  readonly beyond: number | null;
  readonly gap: number;
}

/** Within the window, and 16 to 2,048 tokens beyond it. */
export function probeDistances(window: number): ProbeDistance[] {
  const beyond = Array.from({ length: 8 }, (_, i) => 16 * 2 ** i);
  return [
    { beyond: null, gap: Math.floor(window / 2) },
    ...beyond.map((tokens) => ({ beyond: tokens, gap: window + tokens })),
  ];
}

/** A block of each row: what is read, what is to be answered there, and from how far back. */
export interface ProbeBatch {
  /** (rows, window), row by row. */
  readonly x: Int32Array;
  /** The answer at each position, or -100 where none is asked for. */
  readonly y: Int32Array;
  /** The index of each answer's distance, or -1. */
  readonly distance: Int32Array;
  readonly answers: number;
}

export interface ProbeStreamOptions {
  readonly task: ProbeTask;
  readonly rows: number;
  readonly window: number;
  readonly seed: number;
  /**
   * How often each distance comes. `"even"`: all equally often. `"favour-short"`: by 1 / sqrt(gap), so
   * that a batch holds more answers, as it needs for learning. Default `"even"`.
   */
  readonly mix?: "even" | "favour-short";
}

/** At most so much noise between episodes, so that blocks begin anywhere in them. */
const MOST_LEAD = 8;

/**
 * Endless texts of episodes, a row each, read a window at a time. An episode whose answer lies within
 * the window lies in one block whole; all others have the answer's token in an earlier block than the
 * question, at whatever place in its block.
 */
export class ProbeStream {
  readonly distances: readonly ProbeDistance[];
  readonly #rows: Row[];

  constructor(private readonly options: ProbeStreamOptions) {
    const { rows, window, seed, task, mix = "even" } = options;
    this.distances = probeDistances(window);
    const weights = this.distances.map(({ gap }) => (mix === "even" ? 1 : 1 / Math.sqrt(gap)));
    // Rows are independent: each has a generator of its own, seeded from one.
    const seeds = new Random(seed);
    this.#rows = Array.from(
      { length: rows },
      () => new Row(task, window, this.distances, weights, new Random(seeds.uint32())),
    );
  }

  /** The next window of every row. */
  next(): ProbeBatch {
    const { window } = this.options;
    const size = this.#rows.length * window;
    const [x, y, distance] = [size, size, size].map((n) => new Int32Array(n)) as [
      Int32Array,
      Int32Array,
      Int32Array,
    ];
    for (const [i, row] of this.#rows.entries()) row.read(window, i * window, x, y, distance);
    return { x, y, distance, answers: y.reduce((n, target) => n + (target >= 0 ? 1 : 0), 0) };
  }
}

class Row {
  #tokens: number[] = [];
  #targets: number[] = [];
  #distances: number[] = [];
  /** Tokens made so far. */
  #made = 0;

  constructor(
    private readonly task: ProbeTask,
    private readonly window: number,
    private readonly choices: readonly ProbeDistance[],
    private readonly weights: readonly number[],
    private readonly random: Random,
  ) {}

  read(count: number, at: number, x: Int32Array, y: Int32Array, distance: Int32Array): void {
    while (this.#tokens.length < count) this.#episode();
    x.set(this.#tokens.splice(0, count), at);
    y.set(this.#targets.splice(0, count), at);
    distance.set(this.#distances.splice(0, count), at);
  }

  #episode(): void {
    const choice = this.#choose();
    const { beyond, gap } = this.choices[choice]!;
    const { tokens, answers } = this.task.episode(gap, this.random);
    const toBlock = (this.window - (this.#made % this.window)) % this.window;
    const lead = beyond === null ? toBlock : this.random.below(MOST_LEAD);
    this.#add(drawNoise(lead, this.random));
    const first = this.#tokens.length;
    this.#add(tokens);
    for (const { position, target } of answers) {
      this.#targets[first + position] = target;
      this.#distances[first + position] = choice;
    }
  }

  #add(tokens: readonly number[]): void {
    this.#made += tokens.length;
    for (const token of tokens) {
      this.#tokens.push(token);
      this.#targets.push(IGNORED_TARGET);
      this.#distances.push(-1);
    }
  }

  #choose(): number {
    const sum = this.weights.reduce((all, weight) => all + weight, 0);
    let left = (this.random.uint32() / 2 ** 32) * sum;
    for (const [choice, weight] of this.weights.entries()) {
      left -= weight;
      if (left < 0) return choice;
    }
    return this.weights.length - 1;
  }
}
