import { binding } from "./binding.js";
import { WaveGPTError } from "./errors.js";
import { requireSynchronous } from "./synchronous.js";

/** A mode that ends with its block: `using _ = torch.noGradGuard();`. */
export interface Guard {
  dispose(): void;
  [Symbol.dispose](): void;
}

/** A guard that runs `restore` once. */
export function guard(restore: () => void): Guard {
  let active = true;
  const end = () => {
    if (!active) return;
    restore();
    active = false; // only now: a guard that ended out of order may end again
  };
  return { dispose: end, [Symbol.dispose]: end };
}

export function isGradEnabled(): boolean {
  return binding.isGradEnabled();
}

/** Turns recording for autograd on or off on this thread, until it is set again. */
export function setGradEnabled(enabled: boolean): void {
  binding.setGradEnabled(enabled);
}

function gradGuard(enabled: boolean): Guard {
  const before = binding.isGradEnabled();
  binding.setGradEnabled(enabled);
  return guard(() => binding.setGradEnabled(before));
}

function withGrad<T>(name: string, enabled: boolean, run: () => T): T {
  const before = binding.isGradEnabled();
  binding.setGradEnabled(enabled);
  try {
    return requireSynchronous(name, run());
  } finally {
    binding.setGradEnabled(before);
  }
}

/** Runs a synchronous function without recording for autograd. */
export function noGrad<T>(run: () => T): T {
  return withGrad("torch.noGrad", false, run);
}

/** Runs a synchronous function with recording for autograd, inside `noGrad` too. */
export function enableGrad<T>(run: () => T): T {
  return withGrad("torch.enableGrad", true, run);
}

/** `noGrad` for a block: `using _ = torch.noGradGuard();`. */
export function noGradGuard(): Guard {
  return gradGuard(false);
}

/** `enableGrad` for a block. */
export function enableGradGuard(): Guard {
  return gradGuard(true);
}

let inferenceModes = 0;

/** `inferenceMode` for a block. Guards end in reverse order. */
export function inferenceModeGuard(enabled = true): Guard {
  binding.enterInferenceMode(enabled);
  inferenceModes += 1;
  const own = inferenceModes;
  return guard(() => {
    if (inferenceModes !== own) {
      throw new WaveGPTError(
        "ERR_WAVEGPT_SCOPE",
        `inference mode ended out of order: mode ${own} ended while the innermost is ${inferenceModes}`,
        { operator: "torch.inferenceModeGuard" },
      );
    }
    binding.exitInferenceMode();
    inferenceModes -= 1;
  });
}

/** Runs a synchronous function whose tensors autograd will never see: faster than `noGrad`. */
export function inferenceMode<T>(run: () => T): T {
  const mode = inferenceModeGuard();
  try {
    return requireSynchronous("torch.inferenceMode", run());
  } finally {
    mode.dispose();
  }
}

export function isInferenceModeEnabled(): boolean {
  return binding.isInferenceMode();
}
