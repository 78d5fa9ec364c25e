// @module-tag gpu

import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { optim, torch } from "../../lib/index.js";
import { DataLoader } from "../../src/data/index.js";
import { createModel } from "../../src/model/index.js";
import { CharTokenizer } from "../../src/tokenizer/index.js";
import { train } from "../../src/train.js";
import { CapturedStep, type StepGraph } from "../../src/training/captured-step.js";
import { precisionOf } from "../../src/training/precision.js";
import { type StepOptions, trainStep } from "../../src/training/step.js";
import { smallText, smallTextFile, temporaryFolder } from "../cli/command.js";
import { device, deviceType } from "../device.js";
import { needsCudaKernels } from "../kernels/cuda-kernels.js";
import { fingerprint, tinySettings } from "./tiny-run.js";

const tokenizer = CharTokenizer.fromText(smallText());
// So short that its beginning comes up often.
const tokens = tokenizer.encode(smallText()).slice(0, 1200);
const [ROWS, LENGTH] = [4, 16];

type Dtype = "float32" | "bfloat16";
const optionsOf = (dtype: Dtype, accumulate = 1): StepOptions => ({
  ...{ accumulate, clip: 0.5 },
  precision: precisionOf(dtype, deviceType as "cpu"),
});

interface Setup {
  readonly model: ReturnType<typeof createModel>;
  readonly optimizer: optim.AdamW;
  readonly batches: DataLoader;
  /** Batches of other rows, which are not captured. */
  readonly small: DataLoader;
}

function setUp(kind: "wavegpt" | "gpt" = "wavegpt"): Setup {
  torch.manualSeed(5);
  const model = createModel(kind, {
    ...{ vocabSize: tokenizer.vocabSize, nEmbd: 32, nHeads: 2, nLayers: 2 },
    ...{ blockSize: LENGTH, dropout: 0.2 },
  }).to(device);
  const optimizer = new optim.AdamW(model.parameters(), { capturable: true });
  const loaderOf = (batchSize: number) =>
    new DataLoader({ tokens, batchSize, blockSize: LENGTH, seed: 3, device });
  torch.manualSeed(7);
  return { model, optimizer, batches: loaderOf(ROWS), small: loaderOf(2) };
}

/** Runs on the CPU what a graph would run on a GPU, and tells what was asked for. */
class Imitation implements StepGraph {
  readonly calls: string[] = [];
  #captured: (() => void) | null = null;

  constructor(private readonly isReady = () => true) {}

  warmUp(run: () => void): void {
    this.calls.push("warmUp");
    run();
  }
  capture(run: () => void): void {
    this.calls.push("capture");
    this.#captured = run;
  }
  replay(): void {
    this.calls.push(this.isReady() ? "replay" : "replay with an old rate");
    this.#captured!();
  }
  [Symbol.dispose](): void {
    this.calls.push("dispose");
  }
}

interface Course {
  readonly losses: number[];
  readonly norms: number[];
  readonly weights: number[][];
}

/** Trains with a rate that changes; every seventh batch is a smaller one. */
function course(
  { model, optimizer, batches, small }: Setup,
  steps: number,
  step: (batch: ReturnType<DataLoader["next"]>) => ReturnType<typeof trainStep>,
): Course {
  const losses: number[] = [];
  const norms: number[] = [];
  for (let i = 0; i < steps; i++) {
    using _ = torch.scope();
    optimizer.paramGroups[0]!.lr = 1e-2 / (1 + (i % 5));
    const { loss, gradientNorm } = step(i % 7 === 6 ? small.next() : batches.next());
    losses.push(loss.number());
    norms.push(gradientNorm!.number());
  }
  using _ = torch.scope();
  const weights = model
    .parameters()
    .map((parameter) => [...(parameter.detach().cpu().toTypedArray() as Float32Array)]);
  return { losses, norms, weights };
}

function plainCourse(steps: number, options: StepOptions, kind?: "wavegpt" | "gpt"): Course {
  const setup = setUp(kind);
  return course(setup, steps, (batch) => trainStep(setup.model, setup.optimizer, batch, options));
}

describe("a captured step, its graph imitated on the CPU", () => {
  it.for([1, 2])("has the results of plain steps, in %i parts", (accumulate, context) => {
    if (deviceType !== "cpu") context.skip("a graph itself is tested below");
    const options = optionsOf("float32", accumulate);
    const setup = setUp();
    const { optimizer } = setup;
    let rateWritten = false;
    const graph = new Imitation(() => rateWritten);
    const write = vi.spyOn(optimizer, "writeLearningRates");
    const kinds = { captured: 0, small: 0, masked: 0 };
    {
      using step = new CapturedStep(setup.model, optimizer, ROWS, options, graph);
      const got = course(setup, 40, (batch) => {
        kinds[batch.rows < ROWS ? "small" : batch.previousMask ? "masked" : "captured"]++;
        rateWritten = false;
        write.mockImplementation(() => {
          rateWritten = true;
          optim.AdamW.prototype.writeLearningRates.call(optimizer);
        });
        return step.run(batch);
      });
      expect(got).toEqual(plainCourse(40, options));
    }
    expect(kinds.small).toBe(5);
    expect(kinds.masked).toBeGreaterThan(0);
    expect(graph.calls).toEqual([
      ...["warmUp", "warmUp", "warmUp", "capture"],
      ...Array(kinds.captured - 3).fill("replay"),
      "dispose",
    ]);
  });

  it("leaves no tensor behind", (context) => {
    if (deviceType !== "cpu") context.skip("a graph itself is tested below");
    const setup = setUp();
    const run = () => {
      using step = new CapturedStep(
        ...([setup.model, setup.optimizer, ROWS, optionsOf("float32")] as const),
        new Imitation(),
      );
      course(setup, 8, (batch) => step.run(batch));
    };
    run();
    const before = torch.memory();
    run();
    expect(torch.memory().handles).toBe(before.handles);
  });
});

describe("a captured step", () => {
  it.for([
    { kind: "wavegpt", dtype: "float32", accumulate: 1 },
    { kind: "wavegpt", dtype: "bfloat16", accumulate: 1 },
    { kind: "gpt", dtype: "bfloat16", accumulate: 1 },
    { kind: "wavegpt", dtype: "float32", accumulate: 2 },
  ] as const)(
    "is the plain one bit for bit: $kind, $dtype, $accumulate parts",
    (given, context) => {
      needsCudaKernels(context);
      const options = optionsOf(given.dtype, given.accumulate);
      const expected = plainCourse(24, options, given.kind);
      // Else what follows says nothing: libtorch's own kernels must add up in one order, too.
      expect(plainCourse(24, options, given.kind)).toEqual(expected);
      const setup = setUp(given.kind);
      const graph = new torch.cuda.CUDAGraph(device);
      const replay = vi.spyOn(graph, "replay");
      using step = new CapturedStep(setup.model, setup.optimizer, ROWS, options, graph);
      expect(course(setup, 24, (batch) => step.run(batch))).toEqual(expected);
      expect(replay.mock.calls.length).toBeGreaterThan(10);
    },
  );

  it("takes no more memory after 200 replays", (context) => {
    needsCudaKernels(context);
    const setup = setUp();
    using step = new CapturedStep(setup.model, setup.optimizer, ROWS, optionsOf("bfloat16"));
    const taken = () => ({
      allocated: torch.cuda.memoryAllocated(device),
      reserved: torch.cuda.memoryReserved(device),
      handles: torch.memory().handles,
    });
    // Every kind of batch comes up.
    course(setup, 60, (batch) => step.run(batch));
    const before = taken();
    course(setup, 240, (batch) => step.run(batch));
    expect(taken()).toEqual(before);
  });
});

describe("a run with --cuda-graph", () => {
  it("is the run without, bit for bit, and so is one that was resumed", async (context) => {
    needsCudaKernels(context);
    const data = smallTextFile();
    const folder = temporaryFolder();
    const runs = [false, true].map((cudaGraph) => ({
      out: join(folder, String(cudaGraph)),
      settings: tinySettings(data, { wavenet: "previous", cudaGraph }),
    }));
    for (const { out, settings } of runs) await train(settings, { out });
    const expected = fingerprint(runs[0]!.out);
    expect(fingerprint(runs[1]!.out)).toEqual(expected);
    const out = join(folder, "resumed");
    const controller = new AbortController();
    await train(runs[1]!.settings, {
      out,
      signal: controller.signal,
      onEvent: (event) => {
        if (event.type === "step" && event.step === 13) controller.abort();
      },
    });
    await train({}, { out, resume: true });
    expect(fingerprint(out)).toEqual(expected);
  });
});
