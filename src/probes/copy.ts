import { ASK, drawNoise, drawValue, type ProbeTask, STORE, VALUES } from "./episode.js";

/** Symbols in a row. */
export const COPIED = 8;

/** A row of symbols, to be written down once more in the same order. */
export const copy: ProbeTask = {
  name: "copy",
  title: "Copy",
  chance: 1 / VALUES,
  episode(gap, random) {
    const values = Array.from({ length: COPIED }, () => drawValue(random));
    const noise = drawNoise(gap - COPIED, random);
    // Each symbol is predicted from the one before it, the first from the question.
    const tokens = [STORE, ...values, ...noise, ASK, ...values.slice(0, -1)];
    const asked = 1 + COPIED + noise.length;
    return {
      tokens,
      answers: values.map((target, i) => ({ position: asked + i, target })),
    };
  },
};
