import { ASK, drawKeys, drawNoise, drawValue, type ProbeTask, STORE, VALUES } from "./episode.js";

/** Pairs of a key and a value. */
export const PAIRS = 4;

/** Associative recall: pairs of a key and a value, of which one key's value is asked for. */
export const recall: ProbeTask = {
  name: "recall",
  title: "Associative recall",
  chance: 1 / VALUES,
  episode(gap, random) {
    const keys = drawKeys(PAIRS, random);
    const values = keys.map(() => drawValue(random));
    const pairs = keys.flatMap((key, i) => [key, values[i]!]);
    const asked = random.below(PAIRS);
    // From the asked value to the end of the pairs, and then the question and its key.
    const noise = drawNoise(gap - 2 * (PAIRS - 1 - asked) - 2, random);
    const tokens = [STORE, ...pairs, ...noise, ASK, keys[asked]!];
    return { tokens, answers: [{ position: tokens.length - 1, target: values[asked]! }] };
  },
};
