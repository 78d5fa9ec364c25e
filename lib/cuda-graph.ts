import { binding } from "./binding.js";
import { checkDevice, type Device } from "./device.js";
import { WaveGPTError } from "./errors.js";
import { full } from "./functions.js";
import type { NativeCudaGraph } from "./native.js";
import { keep } from "./scope.js";
import { requireSynchronous } from "./synchronous.js";
import type { Tensor } from "./tensor.js";

/** Operators of a captured step that drop, at most; the seed of each takes 8 bytes of the device. */
const MOST_SEEDS = 65536;

let capturing = false;

/** Whether this thread is within {@link CUDAGraph.capture}. */
export function isCurrentStreamCapturing(): boolean {
  return capturing;
}

/** The error of what a graph cannot do. */
export function cudaGraphError(operator: string, message: string): WaveGPTError {
  return new WaveGPTError("ERR_WAVEGPT_CUDA_GRAPH", `${operator}: ${message}`, { operator });
}

/**
 * Work for an NVIDIA GPU that is recorded once, and then launched again as a whole: `torch.cuda.CUDAGraph`. A replay
 * runs the same kernels on the same memory, so what changes from one to the next is copied into tensors that were there
 * before the capture, and results are read from tensors that the work wrote.
 *
 * ```ts
 * const graph = new torch.cuda.CUDAGraph();
 * graph.warmUp(() => step());      // a few times: libraries and optimizers make what they keep
 * graph.capture(() => step());     // runs nothing
 * graph.replay();                  // runs it
 * ```
 *
 * What is captured may not wait for the GPU (`number()`, `cpu()`), and what JavaScript or the host computes is recorded
 * as it was then, but for random numbers: `wavegpt::` operators drop what they would have dropped at that point had
 * they been called (a replay draws their seeds from the CPU's generator), and libtorch's operators likewise draw from
 * the GPU's generator. A graph needs the library `wavegpt_cuda` (docs/binding.md, "The kernels for CUDA").
 */
export class CUDAGraph {
  readonly #native: NativeCudaGraph;
  readonly #seedPlaces: Tensor;
  #seeds = 0;
  #captured = false;

  /** Why graphs cannot be captured here, or null where they can. */
  static whyUnavailable(): string | null {
    if (!binding.cudaIsAvailable()) return "libtorch finds no CUDA device";
    return binding.cudaKernels();
  }

  /**
   * On the current CUDA device by default.
   * @throws WaveGPTError ERR_WAVEGPT_CUDA_GRAPH where graphs cannot be captured here
   */
  constructor(device: Device = "cuda") {
    checkDevice("torch.cuda.CUDAGraph", device);
    const reason = CUDAGraph.whyUnavailable();
    if (reason !== null) throw cudaGraphError("torch.cuda.CUDAGraph", reason);
    this.#native = binding.createCudaGraph(device);
    this.#seedPlaces = keep(full([MOST_SEEDS], 0, { dtype: "int64", device }));
  }

  /**
   * Runs a synchronous function on the stream that captures, so that cuBLAS and others have made there what they keep:
   * in PyTorch, a few iterations in `torch.cuda.stream(s)`. The work around waits for it, and it for the work before.
   */
  warmUp<T>(run: () => T): T {
    return this.#onOwnStream("warmUp", run);
  }

  /**
   * Records what a synchronous function launches, without running it; waits for the device first. Memory that the
   * function asks for comes from a pool of the graph's own, and a replay writes there again: tensors to be read
   * afterwards must have been made before, or be kept (`torch.keep`). Other threads may use CUDA meanwhile.
   *
   * @throws Error what the function threw, or libtorch's where something cannot be captured; the graph is then empty
   */
  capture<T>(run: () => T): T {
    this.reset();
    return this.#onOwnStream("capture", () => {
      binding.beginCudaGraph(this.#native);
      capturing = true;
      try {
        binding.beginSeedCapture(this.#seedPlaces.handle);
        const result = requireSynchronous("CUDAGraph.capture", run());
        this.#seeds = binding.endSeedCapture();
        binding.endCudaGraph(this.#native);
        this.#captured = true;
        return result;
      } catch (error) {
        binding.endSeedCapture();
        binding.abandonCudaGraph(this.#native);
        throw error;
      } finally {
        capturing = false;
      }
    });
  }

  /**
   * Launches what was captured, once, on the current stream; does not wait.
   * @throws WaveGPTError ERR_WAVEGPT_CUDA_GRAPH where nothing was captured
   */
  replay(): void {
    if (!this.#captured) throw cudaGraphError("CUDAGraph.replay", "nothing was captured");
    if (capturing) throw cudaGraphError("CUDAGraph.replay", "a graph is being captured");
    binding.drawCapturedSeeds(this.#seedPlaces.handle, this.#seeds);
    binding.launchCudaGraph(this.#native);
  }

  /** Waits for the device and frees what was captured, with the memory of its pool that no tensor uses. */
  reset(): void {
    this.#captured = false;
    binding.resetCudaGraph(this.#native);
  }

  dispose(): void {
    this.reset();
    this.#seedPlaces.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #onOwnStream<T>(method: string, run: () => T): T {
    if (capturing) throw cudaGraphError(`CUDAGraph.${method}`, "a graph is being captured");
    binding.enterCudaGraph(this.#native);
    try {
      return requireSynchronous(`CUDAGraph.${method}`, run());
    } finally {
      binding.leaveCudaGraph(this.#native);
    }
  }
}
