import { type optim, type Tensor, torch } from "../../lib/index.js";
import type { Settings } from "../config/settings.js";
import { UsageError } from "../config/usage-error.js";
import type { Batch } from "../data/index.js";
import type { LanguageModel } from "../model/index.js";
import type { TrainingDevice } from "./device.js";
import { type StepOptions, type StepResult, trainStep } from "./step.js";

/** Steps before the capture, as PyTorch's documentation has it: cuBLAS, autograd and the optimizer settle. */
const WARM_UP = 3;

/** What a captured step needs of a `torch.cuda.CUDAGraph`. */
export interface StepGraph extends Disposable {
  warmUp(run: () => void): void;
  capture(run: () => void): void;
  replay(): void;
}

/** The learning rate of a captured step lies on the device; this brings it there. */
export interface CapturableOptimizer extends optim.Optimizer {
  writeLearningRates(): void;
}

/**
 * {@link trainStep} as a CUDA graph: forward, backward, clipping and the optimizer are recorded once and then launched
 * as a whole. The first steps warm up; they, and those of batches of another shape, are made as without a graph, and
 * every step has the same result bit for bit. Owns the graph and the tensors that it reads and writes.
 */
export class CapturedStep implements Disposable {
  #warmedUp = 0;
  #captured = false;
  #tensors: { readonly batch: Batch; readonly loss: Tensor; readonly norm: Tensor } | null = null;

  constructor(
    private readonly model: LanguageModel,
    private readonly optimizer: CapturableOptimizer,
    /** Rows of the batches that are captured. */
    private readonly rows: number,
    private readonly options: StepOptions,
    private readonly graph: StepGraph = new torch.cuda.CUDAGraph(),
  ) {}

  /** As {@link trainStep}; the result holds until the next call. */
  run(batch: Batch): StepResult {
    // Blocks at the very beginning of the text lack tokens before them: seldom enough to be left out.
    if (batch.rows !== this.rows || batch.previousMask !== null) {
      return trainStep(this.model, this.optimizer, batch, this.options);
    }
    const tensors = this.#copied(batch);
    if (this.#warmedUp < WARM_UP) {
      this.#warmedUp++;
      this.graph.warmUp(() => this.#step());
    } else {
      if (!this.#captured) {
        this.graph.capture(() => this.#step());
        this.#captured = true;
      }
      this.optimizer.writeLearningRates();
      torch.profiler.recordFunction("replay", () => this.graph.replay());
    }
    return { loss: tensors.loss, gradientNorm: this.options.clip > 0 ? tensors.norm : null };
  }

  [Symbol.dispose](): void {
    this.graph[Symbol.dispose]();
    if (this.#tensors === null) return;
    const { batch, loss, norm } = this.#tensors;
    for (const tensor of [batch.x, batch.previous, batch.y, loss, norm]) tensor.dispose();
    this.#tensors = null;
  }

  /** What is captured. It reads and writes tensors that stay where they are. */
  #step(): void {
    using _ = torch.scope();
    const { batch, loss, norm } = this.#tensors!;
    const result = trainStep(this.model, this.optimizer, batch, this.options);
    loss.copy_(result.loss);
    if (result.gradientNorm !== null) norm.copy_(result.gradientNorm);
  }

  #copied(batch: Batch) {
    if (this.#tensors === null) {
      const owned = (tensor: Tensor) => torch.keep(tensor.clone());
      const scalar = () =>
        torch.keep(torch.zeros([], { dtype: "float32", device: batch.x.device }));
      const { x, previous, y } = batch;
      this.#tensors = {
        batch: { ...batch, x: owned(x), previous: owned(previous), y: owned(y) },
        loss: scalar(),
        norm: scalar(),
      };
    } else {
      const own = this.#tensors.batch;
      own.x.copy_(batch.x);
      own.previous.copy_(batch.previous);
      own.y.copy_(batch.y);
    }
    return this.#tensors;
  }
}

/**
 * @throws UsageError where steps are to be captured but cannot be on this device
 */
export function checkCudaGraph({ cudaGraph }: Settings, device: TrainingDevice): void {
  if (!cudaGraph) return;
  const reason =
    device === "cuda" ? torch.cuda.CUDAGraph.whyUnavailable() : `the run computes on ${device}`;
  if (reason === null) return;
  throw new UsageError(
    `cudaGraph (--cuda-graph): steps can be captured on an NVIDIA GPU only, with this package's kernels for CUDA; ${reason}. \`wavegpt doctor\` says what was found.`,
  );
}
