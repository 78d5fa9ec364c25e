import { type Tensor, torch } from "../../lib/index.js";
import { answer } from "../pairs/answer.js";
import type { Dtype } from "../step/configurations.js";
import { CASES, type KernelCase, type Operator, type TensorSpec } from "./cases.js";

/** Makes a tensor of a case; it belongs to no scope. */
function make(spec: TensorSpec, dtype: Dtype): Tensor {
  using _ = torch.scope();
  const { shape, deviation = 1, positive = false, gradient = false, product = false, below } = spec;
  if (below !== undefined) return torch.keep(torch.randint(below, shape, { dtype: "int64" }));
  const normal = torch.randn(shape, { dtype: product ? dtype : "float32" }).mul(deviation);
  return torch.keep((positive ? normal.abs() : normal).requiresGrad_(gradient));
}

interface Open {
  readonly given: KernelCase;
  readonly dtype: Dtype;
  readonly tensors: Readonly<Record<string, Tensor>>;
  readonly operator: Operator | null;
  /** What each output's gradient is. */
  gradients: (Tensor | null)[] | null;
}

let open: Open | null = null;

function close(): void {
  if (open === null) return;
  for (const tensor of [...Object.values(open.tensors), ...(open.gradients ?? [])]) {
    tensor?.dispose();
  }
  open = null;
}

/** Forward and, where there is a gradient, backward. */
function once(form: "fused" | "composed"): void {
  using _ = torch.scope();
  const { given, dtype, tensors, operator } = open!;
  const forward = () =>
    form === "fused" ? given.fused(operator!, tensors) : given.composed(tensors);
  const outputs =
    dtype === "float32" ? forward() : torch.autocast({ deviceType: "cpu", dtype }, forward);
  const trained = outputs.filter((output) => output.requiresGrad);
  if (trained.length === 0) return;
  open!.gradients ??= trained.map((output) =>
    output.dim() === 0 ? null : torch.keep(torch.randnLike(output.detach())),
  );
  const gradients = open!.gradients.map((gradient, at) =>
    gradient === null ? null : gradient.to({ dtype: trained[at]!.dtype }),
  );
  torch.autograd.backward(trained, gradients);
  for (const tensor of Object.values(tensors)) if (tensor.requiresGrad) tensor.grad = null;
}

await answer({
  describe: ({ threads }: { threads: number }) => {
    torch.setNumThreads(threads);
    torch.manualSeed(0);
    const known = new Set(torch.ops.names().map((name) => name.split(".")[0]));
    return {
      libtorch: torch.version,
      cases: CASES.map(({ name, operator, tensors, settings }) => ({
        name,
        operator,
        tensors,
        settings,
        built: known.has(operator),
      })),
    };
  },
  open: ({ name, dtype }: { name: string; dtype: Dtype }) => {
    close();
    const given = CASES.find((one) => one.name === name)!;
    const tensors = Object.fromEntries(
      Object.entries(given.tensors).map(([key, spec]) => [key, make(spec, dtype)]),
    );
    const known = torch.ops.names().some((full) => full.split(".")[0] === given.operator);
    const operator = known ? (torch.ops.find(given.operator) as Operator) : null;
    open = { given, dtype, tensors, operator, gradients: null };
  },
  measure: ({ form, times }: { form: "fused" | "composed"; times: number }) => {
    const start = performance.now();
    for (let done = 0; done < times; done++) once(form);
    return (performance.now() - start) / times;
  },
});
