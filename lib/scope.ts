import { binding } from "./binding.js";
import { WaveGPTError } from "./errors.js";
import { ownership, releaseWhenCollected } from "./ownership.js";
import { requireSynchronous } from "./synchronous.js";
import { Tensor } from "./tensor.js";

/** The open scopes, innermost last. */
const open: Scope[] = [];

/**
 * Owns the tensors made while it is the innermost open scope, and frees them in one native call when it is closed.
 * Scopes close in reverse order of opening: `using scope = torch.scope()` does so by itself.
 */
export class Scope {
  /** 1 for an outermost scope. */
  readonly depth: number;

  constructor() {
    this.depth = binding.openScope();
    ownership.depth = this.depth;
    open.push(this);
  }

  /** Frees the scope's tensors; returns how many. Throws `ERR_WAVEGPT_SCOPE` where an inner scope is still open. */
  close(): number {
    if (open[this.depth - 1] !== this) return 0; // closed before
    if (open.length !== this.depth) {
      throw new WaveGPTError(
        "ERR_WAVEGPT_SCOPE",
        `scope closed out of order: scope ${this.depth} was closed while the innermost open scope is ${open.length}`,
        { operator: "Scope.close" },
      );
    }
    const freed = binding.closeScope(this.depth);
    open.pop();
    ownership.depth = open.length;
    return freed;
  }

  dispose(): void {
    this.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Opens a scope: `using _ = torch.scope();`. */
export function scope(): Scope {
  return new Scope();
}

/** How many scopes are open. */
export function scopeDepth(): number {
  return ownership.depth;
}

/**
 * Runs a function in a scope of its own and frees the tensors it made, except those in its result (a tensor, or arrays
 * and plain objects of them), which move to the scope around. Throws `ERR_WAVEGPT_SCOPE` on a promise.
 */
export function tidy<T>(run: () => T): T {
  const own = new Scope();
  try {
    const result = requireSynchronous("torch.tidy", run());
    closeInner(own);
    moveOut(result, own.depth);
    return result;
  } finally {
    closeInner(own);
    own.close();
  }
}

/** Closes the scopes that were left open in a scope. */
function closeInner(own: Scope): void {
  while (open.length > own.depth) open.at(-1)!.close();
}

function moveOut(value: unknown, depth: number, seen?: Set<object>): void {
  if (typeof value !== "object" || value === null) return;
  if (value instanceof Tensor) {
    if (binding.moveToOuterScope(value.handle, depth)) releaseWhenCollected(value, value.handle);
    return;
  }
  const visited = seen ?? new Set<object>();
  if (visited.has(value)) return;
  if (Array.isArray(value)) {
    visited.add(value);
    for (const element of value) moveOut(element, depth, visited);
    return;
  }
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return;
  visited.add(value);
  for (const element of Object.values(value)) moveOut(element, depth, visited);
}

/** Takes a tensor out of its scope, for good: it lives until `dispose()` or until its object is unreachable. */
export function keep<T extends Tensor>(tensor: T): T {
  if (binding.isScoped(tensor.handle)) {
    binding.keep(tensor.handle);
    releaseWhenCollected(tensor, tensor.handle);
  }
  return tensor;
}
