import type { BenchOptions } from "../options.js";
import { takeTurns } from "../pairs/turns.js";
import { Worker } from "../pairs/worker.js";
import { DTYPES, type Dtype } from "../step/configurations.js";
import { threadEnvironment } from "../step/sides.js";
import type { KernelCase } from "./cases.js";

/** Our operator, the same in libtorch's operators from TypeScript, and the same in PyTorch eager from Python. */
export const FORMS = ["fused", "composed", "PyTorch eager"] as const;
export type Form = (typeof FORMS)[number];

export interface KernelResult {
  readonly name: string;
  readonly operator: string;
  readonly dtype: Dtype;
  /** Milliseconds forward and backward, by round; without `fused` where the build has no such operator. */
  readonly milliseconds: Partial<Record<Form, readonly number[]>>;
}

export interface KernelReport {
  readonly threads: number;
  readonly rounds: number;
  readonly versions: { readonly libtorch: string; readonly torch: string; readonly python: string };
  readonly results: readonly KernelResult[];
}

type Described = Pick<KernelCase, "name" | "operator" | "tensors" | "settings"> & {
  readonly built: boolean;
};

async function measureCase(
  ours: Worker,
  theirs: Worker,
  { name, operator, tensors, settings, built }: Described,
  dtype: Dtype,
  rounds: number,
  quick: boolean,
): Promise<KernelResult> {
  await ours.ask("open", { name, dtype });
  await theirs.ask("open", { name, dtype, tensors, settings });
  const forms = FORMS.filter((form) => form !== "fused" || built);
  const measure = (form: Form, times: number) =>
    form === "PyTorch eager"
      ? theirs.ask<number>("measure", { times })
      : ours.ask<number>("measure", { form, times });
  const times = new Map<Form, number>();
  for (const form of forms) {
    const first = await measure(form, 2);
    if (!quick) await measure(form, Math.ceil(Math.min(200, 100 / first)));
    times.set(form, Math.ceil((quick ? 5 : 40) / (await measure(form, 2))));
  }
  const milliseconds = await takeTurns(forms, rounds, (form) => measure(form, times.get(form)!));
  return { name, operator, dtype, milliseconds };
}

/** What each of our operators takes, forward and backward, beside the same work done by libtorch's operators. */
export async function measureKernels(options: BenchOptions): Promise<KernelReport> {
  const { quick, only, threads } = options;
  const rounds = options.rounds ?? (quick ? 2 : 20);
  const words = only.split(" ").filter((word) => word !== "");
  const environment = threadEnvironment(threads);
  const ours = Worker.node("TypeScript", "kernels/worker.js", environment);
  const theirs = Worker.python("Python", "kernels.py", environment);
  try {
    const our = await ours.ask<{ libtorch: string; cases: Described[] }>("describe", { threads });
    const their = await theirs.ask<{ torch: string; python: string }>("describe", { threads });
    const results: KernelResult[] = [];
    for (const described of our.cases) {
      for (const dtype of DTYPES) {
        // AdamW works on float32 parameters whatever the products are computed in.
        if (described.name.startsWith("adamw") && dtype === "bfloat16") continue;
        if (!words.every((word) => `${described.name} ${dtype}`.includes(word))) continue;
        process.stderr.write(`${described.name} ${dtype} ...\n`);
        results.push(await measureCase(ours, theirs, described, dtype, rounds, quick));
      }
    }
    if (results.length === 0) {
      const names = our.cases.map(({ name }) => name).join(", ");
      throw new Error(`--only: expected words in a case's name (${names}) or dtype, got ${only}`);
    }
    return { threads, rounds, versions: { libtorch: our.libtorch, ...their }, results };
  } finally {
    await Promise.all([ours.stop(), theirs.stop()]);
  }
}
