import { answer } from "../pairs/answer.js";
import type { Given } from "../step/worker-messages.js";
import { timeNativeCalls } from "./native.js";

// In this order: see timeNativeCalls.
const { binding } = await import("../../lib/binding.js");
const uses = timeNativeCalls(binding);
const { torch } = await import("../../lib/index.js");
const { Training } = await import("../step/training.js");

let training: InstanceType<typeof Training>;

await answer({
  prepare: ({ settings, vocabulary, tokens, threads }: Given) => {
    torch.setNumThreads(threads);
    training = new Training(settings, vocabulary, tokens);
    training.model.train();
  },
  /** Milliseconds in all, and inside native calls, of so many steps. */
  train: ({ steps }: { steps: number }) => {
    uses.clear();
    const start = performance.now();
    for (let step = 0; step < steps; step++) training.next();
    return { milliseconds: performance.now() - start, uses: [...uses.values()] };
  },
});
