import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { splitTokens } from "../../src/data/index.js";
import { loadRun } from "../../src/run/load.js";
import { byHistory, byPlace } from "../../src/study/position-losses.js";
import { lossByPosition, PIECE } from "../../src/study/positions.js";
import { train } from "../../src/train.js";
import { evaluate } from "../../src/training/evaluate.js";
import { precisionOf } from "../../src/training/precision.js";
import { heldOutBatches } from "../../src/training/setup.js";
import { smallText, temporaryFolder } from "../cli/command.js";
import { tinySettings } from "../training/tiny-run.js";

const where = { device: "cpu", threads: 1 } as const;
const never = new AbortController().signal;
const mean = (values: readonly number[]) => values.reduce((a, b) => a + b) / values.length;

describe.each([
  ["gpt", { model: "gpt" }],
  ["previous", { model: "wavegpt", wavenet: "previous" }],
  ["causal", { model: "wavegpt", wavenet: "causal", wavenetLayers: 6 }],
] as const)("the losses by position of %s", (_, form) => {
  it("are, all together, the evaluation's loss over the same text", async () => {
    const folder = temporaryFolder();
    const data = join(folder, "text.txt");
    const text = smallText(1000);
    writeFileSync(data, text);
    const run = join(folder, "run");
    // The held-out part is one piece and a little more.
    const trainFraction = 1 - (PIECE + 300) / text.length;
    const more = { ...form, trainFraction, device: "cpu", evalBatches: 0, steps: 12 } as const;
    await train(tinySettings(data, more), { out: run });

    const positions = (await lossByPosition(run, where, never))!;
    expect(positions).toMatchObject({ pieces: 1, blockSize: 16 });
    expect(positions.loss).toHaveLength(PIECE);

    const { model, tokenizer } = loadRun(run);
    const { val } = splitTokens(tokenizer.encode(text), trainFraction);
    const settings = { batchSize: 1, blockSize: 16, evalBatches: 0 } as never;
    const batches = heldOutBatches(settings, { tokens: val.subarray(0, PIECE + 1) }, model, "cpu");
    const loss = await evaluate(model, batches, precisionOf("float32", "cpu"));
    model.dispose();
    expect(batches.targets).toBe(PIECE);
    expect(mean(positions.loss)).toBeCloseTo(loss!, 5);
  });
});

describe("means over positions", () => {
  const positions = { blockSize: 4, pieces: 1, loss: Array.from({ length: 16 }, (_, i) => i) };

  it("by length of history double from one to the next", () => {
    expect(byHistory(positions)).toEqual({ x: [1, 2, 4, 8], y: [1, 2.5, 5.5, 11.5] });
  });

  it("by place in the block leave out blocks with too little history", () => {
    expect(byPlace(positions, 8)).toEqual({ x: [0, 1, 2, 3], y: [10, 11, 12, 13] });
    // A text shorter than the history asked for still has its last block.
    expect(byPlace(positions, 512).y).toEqual([12, 13, 14, 15]);
  });
});

it("a held-out text shorter than a piece has no losses by position", async () => {
  const folder = temporaryFolder();
  const data = join(folder, "text.txt");
  writeFileSync(data, smallText(500));
  await train(tinySettings(data, { model: "gpt", steps: 4 }), { out: join(folder, "run") });
  expect(await lossByPosition(join(folder, "run"), where, never)).toBeNull();
});
