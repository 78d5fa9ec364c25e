import { torch } from "../../lib/index.js";
import { answer } from "../pairs/answer.js";
import { CASES } from "./cases.js";

/** How many results a scope collects before it frees them: about what a small model's forward pass makes. */
const SCOPE = 100;

torch.setNumThreads(1);

function nanoseconds(index: number, times: number): number {
  const { run } = CASES[index]!;
  const begin = process.hrtime.bigint();
  for (let done = 0; done < times; done += SCOPE) {
    using _ = torch.scope();
    run(Math.min(SCOPE, times - done));
  }
  return Number(process.hrtime.bigint() - begin) / times;
}

await answer({
  describe: () => ({
    cases: CASES.map(({ typescript, python }) => ({ typescript, python })),
    libtorch: torch.version,
    threads: torch.getNumThreads(),
  }),
  measure: ({ index, times }: { index: number; times: number }) => nanoseconds(index, times),
});
