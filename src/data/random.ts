/** The four 32-bit words of {@link Random}'s state. */
export type RandomState = readonly [number, number, number, number];

/**
 * The loader's own random numbers, so that drawing data leaves libtorch's stream (initial weights,
 * dropout) as it is: xoshiro128** 1.1 (Blackman and Vigna), seeded by four outputs of splitmix32 from
 * the seed's low word XORed with a splitmix32 output of its high word.
 */
export class Random {
  #a = 0;
  #b = 0;
  #c = 0;
  #d = 0;

  /** @param seed - an integer from 0 to 2**53 - 1 */
  constructor(seed: number) {
    const high = splitmix32(Math.floor(seed / 2 ** 32));
    const next = splitmix32(seed >>> 0);
    const mix = seed >= 2 ** 32 ? high() : 0;
    this.setState([next() ^ mix, next() ^ mix, next() ^ mix, next() ^ mix]);
  }

  /** Uniform from 0 to 2**32 - 1. */
  uint32(): number {
    const b = this.#b;
    const scaled = Math.imul(b, 5);
    const result = Math.imul((scaled << 7) | (scaled >>> 25), 9) >>> 0;
    this.#c ^= this.#a;
    this.#d ^= b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= b << 9;
    this.#d = (this.#d << 11) | (this.#d >>> 21);
    return result;
  }

  /** Uniform from 0 to `bound - 1`, without bias; `bound` is from 1 to 2**32. */
  below(bound: number): number {
    // What lies beyond the last whole multiple of the bound is drawn again.
    const limit = 2 ** 32 - (2 ** 32 % bound);
    let value = this.uint32();
    while (value >= limit) value = this.uint32();
    return value % bound;
  }

  /** The numbers from 0 to `count - 1` in random order (Fisher and Yates). */
  permutation(count: number): Uint32Array {
    const order = new Uint32Array(count);
    for (let i = 0; i < count; i++) {
      const j = this.below(i + 1);
      order[i] = order[j]!;
      order[j] = i;
    }
    return order;
  }

  state(): RandomState {
    return [this.#a >>> 0, this.#b >>> 0, this.#c >>> 0, this.#d >>> 0];
  }

  setState([a, b, c, d]: RandomState): void {
    this.#a = a | 0;
    this.#b = b | 0;
    this.#c = c | 0;
    // All zeros is the one state that never changes.
    this.#d = (a | b | c | d) === 0 ? 1 : d | 0;
  }
}

function splitmix32(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let z = state ^ (state >>> 16);
    z = Math.imul(z, 0x21f0aaad);
    z ^= z >>> 15;
    z = Math.imul(z, 0x735a2d97);
    return z ^ (z >>> 15);
  };
}
