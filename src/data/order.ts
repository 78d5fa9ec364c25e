import type { Random } from "./random.js";

/** The numbers from 0 to `length - 1`, each once, in random order. */
export interface RandomOrder {
  readonly length: number;
  at(index: number): number;
}

/** Above this, an order is computed rather than laid out: a list of 2**24 numbers takes 64 MiB. */
export const LARGEST_LIST = 2 ** 24;

class Listed implements RandomOrder {
  constructor(private readonly list: Uint32Array) {}

  get length(): number {
    return this.list.length;
  }

  at(index: number): number {
    return this.list[index]!;
  }
}

const ROUNDS = 6;

/**
 * An order of any length that takes no memory: a Feistel network over the smallest even number of bits that holds
 * every index, walked until it lands below the length (Black and Rogaway, "Ciphers with arbitrary finite domains", 2002).
 */
export class ComputedOrder implements RandomOrder {
  readonly #keys: Int32Array;
  readonly #half: number;

  constructor(
    readonly length: number,
    random: Random,
  ) {
    this.#keys = Int32Array.from({ length: ROUNDS }, () => random.uint32());
    this.#half = Math.max(1, Math.ceil(Math.log2(Math.max(2, length)) / 2));
  }

  at(index: number): number {
    const size = 2 ** this.#half;
    let value = index;
    do {
      let left = Math.floor(value / size);
      let right = value % size;
      for (let round = 0; round < ROUNDS; round++) {
        const next = left ^ (mix(right ^ this.#keys[round]!) & (size - 1));
        left = right;
        right = next;
      }
      value = left * size + right;
    } while (value >= this.length);
    return value;
  }
}

/** The finalizer of MurmurHash3 (Appleby): every bit of the input changes about half of the output's. */
function mix(value: number): number {
  let h = value ^ (value >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** A random order of `length` numbers: laid out where it fits into little memory, else computed. */
export function randomOrder(length: number, random: Random): RandomOrder {
  return length <= LARGEST_LIST
    ? new Listed(random.permutation(length))
    : new ComputedOrder(length, random);
}
