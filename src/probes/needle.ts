import { ASK, drawNoise, drawValue, type ProbeTask, STORE, VALUES } from "./episode.js";

/** One symbol in a text of noise, to be given back when asked for. */
export const needle: ProbeTask = {
  name: "needle",
  title: "Needle",
  chance: 1 / VALUES,
  episode(gap, random) {
    const value = drawValue(random);
    const tokens = [STORE, value, ...drawNoise(gap - 1, random), ASK];
    return { tokens, answers: [{ position: tokens.length - 1, target: value }] };
  },
};
