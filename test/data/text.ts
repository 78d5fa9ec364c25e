/** Tokens whose values are their own positions, so that a batch shows where it was cut. */
export function positions(length: number): Uint32Array {
  return Uint32Array.from({ length }, (_, position) => position);
}

/** An int64 tensor's elements as plain numbers, row by row. */
export function rows(tensor: { tolist(): unknown }): number[][] {
  return (tensor.tolist() as (number | bigint)[][]).map((row) => row.map(Number));
}
