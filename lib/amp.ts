import { binding } from "./binding.js";
import { type DType, dtypeCode, dtypeName } from "./dtype.js";
import { argumentError, WaveGPTError } from "./errors.js";
import { type Guard, guard } from "./gradmode.js";
import { requireSynchronous } from "./synchronous.js";

export interface AutocastOptions {
  /** Whose operators are cast: `"cpu"`, `"cuda"` or `"mps"`. */
  deviceType: string;
  /** Default: bfloat16 on the CPU, float16 elsewhere. */
  dtype?: DType | undefined;
  /** Default true; false turns it off inside an enabled region. */
  enabled?: boolean | undefined;
  /** Whether casts of parameters are kept until the outermost region ends. Default true. */
  cacheEnabled?: boolean | undefined;
}

let regions = 0;

/** `autocast` for a block: `using _ = torch.autocastGuard({ deviceType: "cpu" });`. Guards end in reverse order. */
export function autocastGuard(options: AutocastOptions): Guard {
  if (typeof options?.deviceType !== "string") {
    throw argumentError("torch.autocast", "deviceType", "a device type", options?.deviceType);
  }
  const current = binding.autocast(options.deviceType);
  binding.enterAutocast(
    options.deviceType,
    options.dtype === undefined ? current.dtype : dtypeCode(options.dtype),
    options.enabled ?? true,
    options.cacheEnabled ?? true,
  );
  regions += 1;
  const own = regions;
  return guard(() => {
    if (regions !== own) {
      throw new WaveGPTError(
        "ERR_WAVEGPT_SCOPE",
        `autocast ended out of order: region ${own} ended while the innermost is ${regions}`,
        { operator: "torch.autocastGuard" },
      );
    }
    binding.exitAutocast();
    regions -= 1;
  });
}

/** Runs a synchronous function with operators cast to a narrower type where PyTorch deems that safe. */
export function autocast<T>(options: AutocastOptions, run: () => T): T {
  const region = autocastGuard(options);
  try {
    return requireSynchronous("torch.autocast", run());
  } finally {
    region.dispose();
  }
}

export function isAutocastEnabled(deviceType: string): boolean {
  return binding.autocast(deviceType).enabled;
}

/** The type that autocast casts to on a device. */
export function getAutocastDtype(deviceType: string): DType {
  return dtypeName(binding.autocast(deviceType).dtype);
}
