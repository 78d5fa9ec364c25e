import { binding } from "./binding.js";
import { checkDevice, type Device } from "./device.js";
import { addDescriber, argumentError } from "./errors.js";
import type { Handle } from "./native.js";
import { releaseGeneratorWhenCollected } from "./ownership.js";
import { Tensor } from "./tensor.js";

function seedValue(operator: string, seed: number | bigint): bigint {
  if (typeof seed !== "bigint" && !Number.isSafeInteger(seed)) {
    throw argumentError(operator, "seed", "an integer (a bigint beyond 2**53)", seed);
  }
  const value = BigInt(seed);
  if (value < -(1n << 63n) || value >= 1n << 64n) {
    throw argumentError(operator, "seed", "an integer of 64 bits", seed);
  }
  return BigInt.asUintN(64, value);
}

/** A source of random numbers with a state of its own, PyTorch's stream for the same seed. */
export class Generator {
  readonly handle: Handle;

  /** On `"cpu"` by default. */
  constructor(device: Device = "cpu") {
    checkDevice("torch.Generator", device);
    this.handle = binding.createGenerator(device);
    releaseGeneratorWhenCollected(this, this.handle);
  }

  /** The generator that operators on a device use when none is given. */
  static default(device: Device = "cpu"): Generator {
    checkDevice("torch.Generator.default", device);
    const generator = Object.create(Generator.prototype) as { handle: Handle };
    generator.handle = binding.defaultGenerator(device);
    releaseGeneratorWhenCollected(generator, generator.handle);
    return generator as Generator;
  }

  get device(): Device {
    return binding.generatorDevice(this.handle);
  }

  manualSeed(seed: number | bigint): this {
    binding.generatorManualSeed(this.handle, seedValue("Generator.manualSeed", seed));
    return this;
  }

  /** Draws a seed that no other run has, sets it and returns it. */
  seed(): bigint {
    return binding.generatorSeed(this.handle);
  }

  /** The seed last set. */
  initialSeed(): bigint {
    return binding.generatorInitialSeed(this.handle);
  }

  /** The state as a uint8 tensor, to be set again later. */
  getState(): Tensor {
    return new Tensor(binding.generatorState(this.handle));
  }

  setState(state: Tensor): this {
    binding.setGeneratorState(this.handle, state.handle);
    return this;
  }

  dispose(): void {
    binding.releaseGenerator(this.handle);
  }

  [Symbol.dispose](): void {
    binding.releaseGenerator(this.handle);
  }
}

addDescriber((value) => (value instanceof Generator ? "a torch.Generator" : null));

/** Seeds the default generators of all devices; the process shares them, worker threads too. */
export function manualSeed(seed: number | bigint): Generator {
  binding.manualSeed(seedValue("torch.manualSeed", seed));
  return Generator.default();
}

/** Seeds the default generators of all devices with a seed that no other run has, and returns it. */
export function seed(): bigint {
  using generator = Generator.default();
  const value = generator.seed();
  binding.manualSeed(value);
  return value;
}

/** The seed of the CPU's default generator. */
export function initialSeed(): bigint {
  using generator = Generator.default();
  return generator.initialSeed();
}

/** The state of a device's default generator. */
export function getRngState(device: Device = "cpu"): Tensor {
  using generator = Generator.default(device);
  return generator.getState();
}

export function setRngState(state: Tensor, device: Device = "cpu"): void {
  using generator = Generator.default(device);
  generator.setState(state);
}
