import { readFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg, platform, totalmem } from "node:os";

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  /** What of interest for matrices the CPU says it has. */
  readonly features: readonly string[];
  readonly memoryGiB: number;
  readonly platform: string;
  readonly node: string;
  /** Processes that wanted to run in the last minute; the benchmark itself not yet among them. */
  readonly load: number;
}

const FEATURES = ["avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16", "sve"];

function features(): string[] {
  try {
    const line = /^(?:flags|Features)\s*:(.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1];
    const has = new Set(line?.trim().split(" "));
    return FEATURES.filter((feature) => has.has(feature));
  } catch {
    return []; // only Linux has the file
  }
}

export function machine(): Machine {
  return {
    cpu: cpus()[0]?.model ?? "unknown",
    cores: availableParallelism(),
    features: features(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    platform: `${platform()} ${process.arch}`,
    node: process.versions.node,
    load: loadavg()[0]!,
  };
}

export function describeMachine({
  cpu,
  cores,
  features,
  memoryGiB,
  load,
  ...rest
}: Machine): string {
  const has = features.length === 0 ? "" : ` (${features.join(", ")})`;
  return `${cores} cores of ${cpu}${has}, ${memoryGiB} GiB, ${rest.platform}; Node ${rest.node}; load before: ${load.toFixed(2)}`;
}
