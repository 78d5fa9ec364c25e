/** `fixed + each * size` */
export interface Line {
  readonly fixed: number;
  readonly each: number;
}

/** The line whose relative distances from the measurements have the least sum of squares. */
export function lineThrough(sizes: readonly number[], times: readonly number[]): Line {
  if (sizes.length !== times.length || sizes.length < 3) {
    throw new Error(
      `expected at least 3 sizes with a time each, got ${sizes.length} and ${times.length}`,
    );
  }
  // Least squares with weights 1 / time^2, solved by the two normal equations.
  let [w, wx, wxx, wy, wxy] = [0, 0, 0, 0, 0];
  for (const [at, x] of sizes.entries()) {
    const y = times[at]!;
    const weight = 1 / y ** 2;
    w += weight;
    wx += weight * x;
    wxx += weight * x * x;
    wy += weight * y;
    wxy += weight * x * y;
  }
  const determinant = w * wxx - wx * wx;
  const each = (w * wxy - wx * wy) / determinant;
  return { fixed: (wy - each * wx) / w, each };
}
