import { binding } from "./binding.js";
import type { Handle } from "./native.js";

/** How many scopes are open on this thread; 0 where a new tensor is nobody's but the garbage collector's. */
export const ownership = { depth: 0 };

const tensors = new FinalizationRegistry<Handle>((handle) => binding.release(handle));
const generators = new FinalizationRegistry<Handle>((handle) => binding.releaseGenerator(handle));

/** The safety net of a tensor outside all scopes: its handle is released some time after its object is unreachable. */
export function releaseWhenCollected(object: object, handle: Handle): void {
  tensors.register(object, handle);
}

export function releaseGeneratorWhenCollected(object: object, handle: Handle): void {
  generators.register(object, handle);
}
