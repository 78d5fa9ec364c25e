import { binding } from "./binding.js";
import type { Device } from "./device.js";

/** `torch.cuda` */
export const cuda = {
  /** Whether the loaded libtorch can use an NVIDIA GPU here. */
  isAvailable: (): boolean => binding.cudaIsAvailable(),
  deviceCount: (): number => binding.cudaDeviceCount(),
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
