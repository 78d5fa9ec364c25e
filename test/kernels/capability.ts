import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";

/** Environments that lower what kernels find: kernels are chosen once, when a process first calls one. */
export const CAPABILITIES: readonly Readonly<Record<string, string>>[] = [
  { ATEN_CPU_CAPABILITY: "default" },
  { ATEN_CPU_CAPABILITY: "avx2" },
  { ATEN_CPU_CAPABILITY: "avx2", ONEDNN_MAX_CPU_ISA: "AVX2" },
];

/** How far an operator and its gradients are from float64's, in a process with this environment. */
export function deriveOn(
  environment: Readonly<Record<string, string>>,
  operator: string,
): { readonly float32: number; readonly bfloat16: number } {
  const script = fileURLToPath(new URL("./operator-capability.mjs", import.meta.url));
  const output = execFileSync(process.execPath, [script, operator], {
    env: { ...process.env, ...environment },
    encoding: "utf8",
  });
  return JSON.parse(output) as { float32: number; bfloat16: number };
}
