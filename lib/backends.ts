import { binding } from "./binding.js";
import { CUDAGraph, isCurrentStreamCapturing } from "./cuda-graph.js";
import type { Device } from "./device.js";
import type { CpuMemoryStatistics } from "./native.js";

/** `torch.cpu`: the memory that tensors on the CPU take. PyTorch keeps such numbers of CUDA only. */
export const cpu = {
  /**
   * Gives memory that no tensor uses back to the system. Nothing gets faster by it; other processes get the memory.
   * What was unused for 10 seconds of work is given back without it.
   */
  emptyCache: (): void => binding.emptyCpuCache(),
  memoryStats: (): CpuMemoryStatistics => binding.cpuMemory(),
  /** Lets `peakAllocated` and `peakReserved` begin anew. */
  resetPeakMemoryStats: (): void => binding.resetPeakCpuMemory(),
};

/** `torch.cuda` */
export const cuda = {
  /** Whether the loaded libtorch can use an NVIDIA GPU here. */
  isAvailable: (): boolean => binding.cudaIsAvailable(),
  deviceCount: (): number => binding.cudaDeviceCount(),
  /** Bytes that tensors take on the device. */
  memoryAllocated: (device: Device = "cuda"): number => binding.cudaMemory(device)[0]!,
  /** Bytes that libtorch has taken from the device, for tensors that are and those to come. */
  memoryReserved: (device: Device = "cuda"): number => binding.cudaMemory(device)[1]!,
  CUDAGraph,
  isCurrentStreamCapturing,
  /** Waits for all work on the device. */
  synchronize: (device: Device = "cuda"): void => binding.synchronize(device),
};

/** `torch.mps` */
export const mps = {
  /** Whether the loaded libtorch can use an Apple GPU here. */
  isAvailable: (): boolean => binding.mpsIsAvailable(),
  /** Waits for all work on the device. */
  synchronize: (): void => binding.synchronize("mps"),
};
