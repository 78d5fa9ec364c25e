import { torch } from "../../lib/index.js";
import { answer } from "../pairs/answer.js";
import { peakMemory, resetPeakMemory } from "../pairs/memory.js";
import { Training } from "./training.js";
import type { Given } from "./worker-messages.js";

const libraries = peakMemory();
let training: Training;
let weights: string;

await answer({
  prepare: (given: Given) => {
    torch.setNumThreads(given.threads);
    training = new Training(given.settings, given.vocabulary, given.tokens);
    weights = given.weights;
    return {
      libtorch: torch.version,
      threads: torch.getNumThreads(),
      config: training.model.config,
      parameters: training.model.numParameters(),
      milestones: training.plan.milestones,
    };
  },
  save: ({ batches, count }: { batches: string; count: number }) =>
    training.save(weights, batches, count),
  check: ({ batches }: { batches: string }) => {
    training.begin(weights, false);
    return training.losses(batches);
  },
  begin: () => training.begin(weights, true),
  train: ({ steps }: { steps: number }) => {
    const start = performance.now();
    for (let step = 0; step < steps; step++) training.next();
    return (performance.now() - start) / 1000;
  },
  resetPeak: resetPeakMemory,
  memory: () => ({ libraries, peak: peakMemory() }),
});
