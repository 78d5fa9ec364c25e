import { WaveGPTError } from "../../lib/errors.js";
import type { TokenArray } from "../tokenizer/index.js";
import { type Batch, type BatchBlocks, BatchReader } from "./batch.js";
import { type Block, BlockLayout } from "./blocks.js";
import { type RandomOrder, randomOrder } from "./order.js";
import { Random, type RandomState } from "./random.js";
import { RunningRows } from "./running.js";
import { asSequence, type TokenSequence } from "./token-sequence.js";

/** How a {@link DataLoader} goes through a text. */
export type DrawOrder = "shuffled" | "running" | "random";

export const DRAW_ORDERS: readonly DrawOrder[] = ["shuffled", "running", "random"];

export interface DataLoaderOptions {
  /**
   * The text's tokens, of the part to be drawn from only. Kept, not copied: their buffers must not be resizable, and can
   * no longer be transferred to a worker.
   */
  readonly tokens: TokenArray | TokenSequence;
  /** Rows of a batch, of each rank's. */
  readonly batchSize: number;
  /** Tokens of a row. */
  readonly blockSize: number;
  /** An integer from 0 to 2**53 - 1; default 0. */
  readonly seed?: number;
  /**
   * `"shuffled"` (the default): passes over the text, each of which counts every target exactly once,
   * in blocks whose boundaries move from pass to pass, in random order. `"running"`: the same blocks,
   * but each row of the batches runs on through a part of the text of its own, block by block.
   * `"random"`: every row starts anywhere in the text with equal probability.
   */
  readonly order?: DrawOrder;
  /** Where the batches are put; default `"cpu"`. */
  readonly device?: string;
  /**
   * The token that every document begins with: `previous` then holds the block's own document alone, with padding
   * before its start. Default null: the text's tokens, whichever document they are of.
   */
  readonly documentStart?: number | null;
  /**
   * Which of `world` loaders this is, from 0; default 0 of 1. Together, the loaders of all ranks draw what one loader
   * of `world * batchSize` rows draws.
   */
  readonly rank?: number;
  readonly world?: number;
  /**
   * How many batches are made before they are asked for, at most. Default: 2, or as many as have 32 rows, where tokens
   * are mapped from files, which a thread reads; as many as have 32 rows, or none, where tokens are in memory.
   */
  readonly readAhead?: number;
}

/** All that {@link DataLoader.loadState} needs to go on where {@link DataLoader.state} was taken: plain JSON. */
export interface DataLoaderState {
  readonly version: 1;
  readonly order: DrawOrder;
  readonly tokens: number;
  /** Of all ranks together. */
  readonly batchSize: number;
  readonly blockSize: number;
  /** Batches drawn. */
  readonly step: number;
  /** Blocks of the current pass already drawn; batches of it with `"running"`. */
  readonly drawn: number;
  /** The generator before the current pass was laid out, or as it is (`"random"`). */
  readonly random: RandomState;
}

/** How a pass goes through the text. */
interface Pass {
  readonly phase: number;
  /** The generator before the pass was laid out. */
  readonly random: RandomState;
  /** Draws in it: blocks, or batches where rows run on. */
  readonly length: number;
  /** Blocks by their places in the text (`"shuffled"`). */
  readonly order: RandomOrder | null;
  /** The rows' runs (`"running"`). */
  readonly rows: RunningRows | null;
}

/** Where a loader is, in its own terms. */
type Position = Pick<DataLoaderState, "step" | "drawn" | "random">;

/** A batch to be made. */
interface Drawn extends BatchBlocks {
  /** Where the loader was before. */
  readonly before: Position;
}

/** So many rows are drawn at a time: what a call costs, after a step that used the processor's caches, is shared. */
const ROWS_AT_A_TIME = 32;

/**
 * Draws training batches from a text without end, always `batchSize` rows: a batch that finds a pass
 * used up goes on with the next one. Random numbers are its own ({@link Random}), so two loaders of the
 * same options give the same batches whatever else is drawn from libtorch. What is read ahead counts as drawn when
 * {@link next} returns it. Dispose of it where it reads ahead: its thread ends then, or when it is collected.
 */
export class DataLoader implements Disposable {
  readonly batchSize: number;
  readonly blockSize: number;
  readonly order: DrawOrder;
  /**
   * Batches that together hold as many targets as the text: `ceil((tokens - 1) / (batchSize * blockSize))`, the batch
   * size being that of all ranks together.
   * 80 % of Tiny Shakespeare at 32 blocks of 64 gives 436.
   */
  readonly stepsPerEpoch: number;

  readonly #layout: BlockLayout;
  readonly #reader: BatchReader;
  readonly #random: Random;
  readonly #rank: number;
  readonly #world: number;
  readonly #readAhead: number;
  readonly #inBackground: boolean;
  /** Batches that the reader was asked for and that were not taken, in order. */
  readonly #ahead: Drawn[] = [];
  #step = 0;
  /** The current pass; laid out when its first block is drawn. */
  #pass: Pass | null = null;
  #drawn = 0;

  /** @throws WaveGPTError ERR_WAVEGPT_DATA for a text too short for one block, or an option out of range */
  constructor(options: DataLoaderOptions) {
    const { batchSize, blockSize, seed = 0, order = "shuffled", device = "cpu" } = options;
    const { documentStart = null, rank = 0, world = 1 } = options;
    const tokens = asSequence(options.tokens);
    requirePositive("the batch size", batchSize);
    requirePositive("the number of ranks", world);
    const { readAhead } = options;
    if (readAhead !== undefined && !(Number.isSafeInteger(readAhead) && readAhead >= 0)) {
      throw new WaveGPTError(
        "ERR_WAVEGPT_DATA",
        `the number of batches to read ahead must be a whole number from 0, got ${readAhead}`,
      );
    }
    if (!Number.isSafeInteger(rank) || rank < 0 || rank >= world) {
      throw new WaveGPTError(
        "ERR_WAVEGPT_DATA",
        `the rank must be a whole number from 0 to ${world - 1}, got ${rank}`,
      );
    }
    if (!Number.isSafeInteger(seed) || seed < 0) {
      throw new WaveGPTError(
        "ERR_WAVEGPT_DATA",
        `the seed must be a whole number from 0 to 2**53 - 1, got ${seed}`,
      );
    }
    if (!DRAW_ORDERS.includes(order)) {
      throw new WaveGPTError(
        "ERR_WAVEGPT_DATA",
        `the order must be one of ${DRAW_ORDERS.map((name) => `"${name}"`).join(", ")}, got ${JSON.stringify(order)}`,
      );
    }
    this.batchSize = batchSize;
    this.blockSize = blockSize;
    this.order = order;
    this.#layout = new BlockLayout(tokens.length, blockSize);
    this.#reader = new BatchReader({ tokens, batchSize, blockSize, device, documentStart });
    this.#random = new Random(seed);
    this.#rank = rank;
    this.#world = world;
    const { mapped } = this.#reader;
    const together = Math.ceil(ROWS_AT_A_TIME / batchSize) - 1;
    this.#readAhead = readAhead ?? Math.max(mapped ? 2 : 0, together);
    this.#inBackground = mapped && this.#readAhead > 0;
    this.stepsPerEpoch = Math.ceil(this.#layout.targets / (world * batchSize * blockSize));
  }

  /** Batches drawn so far. */
  get step(): number {
    return this.#position().step;
  }

  /** Whole epochs of {@link stepsPerEpoch} batches drawn so far. */
  get epoch(): number {
    return Math.floor(this.step / this.stepsPerEpoch);
  }

  /**
   * The next batch; its tensors belong to the innermost open scope.
   *
   * @throws WaveGPTError ERR_WAVEGPT_DATA naming the file where tokens can no longer be read
   */
  next(): Batch {
    if (this.#ahead.length === 0) this.#request(this.#readAhead + 1);
    try {
      return this.#reader.take(this.#ahead.shift()!);
    } finally {
      const left = this.#ahead.length;
      if (this.#inBackground && left <= this.#readAhead / 2) this.#request(this.#readAhead - left);
    }
  }

  /** Which blocks {@link next} would make a batch of; counts as drawing it. */
  nextBlocks(): Block[] {
    this.#forgetAhead();
    return [...this.#draw().blocks];
  }

  state(): DataLoaderState {
    return {
      version: 1,
      order: this.order,
      tokens: this.#layout.length,
      batchSize: this.#world * this.batchSize,
      blockSize: this.blockSize,
      ...this.#position(),
    };
  }

  /**
   * Goes on exactly where `state` was taken.
   *
   * @throws WaveGPTError ERR_WAVEGPT_DATA where it was taken from a loader of another text length, batch
   * size, block size or order
   */
  loadState(state: DataLoaderState): void {
    const own = this.state();
    for (const field of ["version", "order", "tokens", "batchSize", "blockSize"] as const) {
      if (state[field] !== own[field]) {
        throw new WaveGPTError(
          "ERR_WAVEGPT_DATA",
          `this loader's state cannot be resumed: "${field}" was ${JSON.stringify(state[field])} then and is ${JSON.stringify(own[field])} now`,
        );
      }
    }
    for (const field of ["step", "drawn"] as const) {
      if (!Number.isSafeInteger(state[field]) || state[field] < 0) {
        throw new WaveGPTError(
          "ERR_WAVEGPT_DATA",
          `this loader's state is damaged: "${field}" must be a whole number from 0, got ${JSON.stringify(state[field])}`,
        );
      }
    }
    if (!Array.isArray(state.random) || state.random.length !== 4) {
      throw new WaveGPTError(
        "ERR_WAVEGPT_DATA",
        `this loader's state is damaged: "random" must be four numbers, got ${JSON.stringify(state.random)}`,
      );
    }
    this.#reader.drop();
    this.#ahead.length = 0;
    this.#goTo(state);
  }

  [Symbol.dispose](): void {
    this.#reader[Symbol.dispose]();
  }

  /** Where {@link next} goes on: before what was read ahead. */
  #position(): Position {
    return this.#ahead[0]?.before ?? this.#drawnUntil();
  }

  #drawnUntil(): Position {
    const random = this.#pass?.random ?? this.#random.state();
    return { step: this.#step, drawn: this.#drawn, random };
  }

  #goTo(position: Position): void {
    this.#random.setState(position.random);
    this.#step = position.step;
    this.#pass = null;
    this.#drawn = 0;
    if (position.drawn === 0) return;
    const pass = this.#layOut();
    if (position.drawn > pass.length) {
      throw new WaveGPTError(
        "ERR_WAVEGPT_DATA",
        `this loader's state is damaged: "drawn" is ${position.drawn} of a pass of ${pass.length} ${pass.rows === null ? "blocks" : "batches"}`,
      );
    }
    this.#pass = pass;
    this.#drawn = position.drawn;
  }

  #forgetAhead(): void {
    if (this.#ahead.length === 0) return;
    const position = this.#position();
    this.#reader.drop();
    this.#ahead.length = 0;
    this.#goTo(position);
  }

  #request(batches: number): void {
    if (batches === 0) return;
    const drawn = Array.from({ length: batches }, () => this.#draw());
    this.#reader.request(drawn, this.#inBackground);
    this.#ahead.push(...drawn);
  }

  #draw(): Drawn {
    const before = this.#drawnUntil();
    this.#step++;
    const first = this.#rank * this.batchSize;
    const end = first + this.batchSize;
    if (this.order === "running") {
      const { blocks, continues } = this.#currentPass().rows!.batch(this.#drawn++);
      return {
        blocks: blocks.slice(first, end),
        continues: this.#drawn === 1 ? null : continues.slice(first, end),
        before,
      };
    }
    const blocks: Block[] = [];
    for (let row = 0; row < this.#world * this.batchSize; row++) {
      const block = this.order === "shuffled" ? this.#nextOfPass() : this.#anywhere();
      if (row >= first && row < end) blocks.push(block);
    }
    return { blocks, continues: null, before };
  }

  #nextOfPass(): Block {
    const { order, phase } = this.#currentPass();
    return this.#layout.block(order!.at(this.#drawn++), phase);
  }

  /** The pass in which there is still something to draw. */
  #currentPass(): Pass {
    if (this.#pass === null || this.#drawn === this.#pass.length) {
      this.#pass = this.#layOut();
      this.#drawn = 0;
    }
    return this.#pass;
  }

  #layOut(): Pass {
    const random = this.#random.state();
    const phase = this.#random.below(this.blockSize);
    if (this.order === "running") {
      const rows = new RunningRows(this.#layout, this.#world * this.batchSize, phase);
      return { phase, random, length: rows.batches, order: null, rows };
    }
    const order = randomOrder(this.#layout.count(phase), this.#random);
    return { phase, random, length: order.length, order, rows: null };
  }

  #anywhere(): Block {
    const { targets, blockSize } = this.#layout;
    const start = this.#random.below(targets - blockSize + 1);
    return { start, from: start, to: start + blockSize };
  }
}

function requirePositive(what: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new WaveGPTError(
      "ERR_WAVEGPT_DATA",
      `${what} must be a positive whole number, got ${value}`,
    );
  }
}
