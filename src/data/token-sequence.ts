import type { TokenArray } from "../tokenizer/index.js";

/** A text's tokens, wherever they lie: in memory, or in files that are mapped into it. */
export interface TokenSequence {
  readonly length: number;
  /** The tokens from `from` to before `to`: a view where they lie in one piece, else a copy of these few. */
  view(from: number, to: number): TokenArray;
  /** The arrays that it is made of, in order. */
  readonly pieces: readonly TokenArray[];
}

class InMemory implements TokenSequence {
  readonly pieces: readonly TokenArray[];

  constructor(private readonly tokens: TokenArray) {
    this.pieces = [tokens];
  }

  get length(): number {
    return this.tokens.length;
  }

  view(from: number, to: number): TokenArray {
    return this.tokens.subarray(from, to);
  }
}

/** Tokens as a sequence; an array is kept, not copied. */
export function asSequence(tokens: TokenArray | TokenSequence): TokenSequence {
  return ArrayBuffer.isView(tokens) ? new InMemory(tokens) : tokens;
}

/** Pieces one after the other, e.g. the shards of a corpus, as one text. */
export class JoinedTokens implements TokenSequence {
  readonly length: number;
  readonly pieces: readonly TokenArray[];
  /** Where each piece begins, and where the last one ends. */
  readonly #starts: Float64Array;

  constructor(pieces: readonly TokenArray[]) {
    this.pieces = pieces.filter((piece) => piece.length > 0);
    this.#starts = new Float64Array(this.pieces.length + 1);
    this.pieces.forEach((piece, at) => {
      this.#starts[at + 1] = this.#starts[at]! + piece.length;
    });
    this.length = this.#starts[this.pieces.length]!;
  }

  view(from: number, to: number): TokenArray {
    const { pieces } = this;
    const starts = this.#starts;
    let at = this.#pieceWith(from);
    if (to <= starts[at + 1]!) return pieces[at]!.subarray(from - starts[at]!, to - starts[at]!);
    const copy = new Uint32Array(to - from);
    for (let done = from; done < to; at++) {
      const end = Math.min(to, starts[at + 1]!);
      copy.set(pieces[at]!.subarray(done - starts[at]!, end - starts[at]!), done - from);
      done = end;
    }
    return copy;
  }

  /** A part of it, as a sequence of its own: views, no copies. */
  slice(from: number, to: number): JoinedTokens {
    const starts = this.#starts;
    return new JoinedTokens(
      this.pieces.map((piece, at) =>
        piece.subarray(
          Math.max(0, Math.min(from, starts[at + 1]!) - starts[at]!),
          Math.max(0, Math.min(to, starts[at + 1]!) - starts[at]!),
        ),
      ),
    );
  }

  /** The piece that holds `position`. */
  #pieceWith(position: number): number {
    let low = 0;
    let high = this.pieces.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#starts[middle]! <= position) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}
