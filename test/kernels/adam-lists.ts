import { type DType, type Tensor, torch } from "../../lib/index.js";

/** What `wavegpt::adam_` and `wavegpt::adamw_` are called with: lists of tensors, one for each parameter. */
export interface AdamLists {
  readonly parameters: Tensor[];
  readonly gradients: Tensor[];
  readonly expAvgs: Tensor[];
  readonly expAvgSqs: Tensor[];
  readonly maxExpAvgSqs: Tensor[];
  readonly steps: Tensor[];
}

export interface AdamValues {
  readonly lr: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly weightDecay: number;
  readonly eps: number;
  readonly amsgrad: boolean;
  readonly maximize: boolean;
}

export const VALUES: AdamValues = {
  lr: 1e-3,
  beta1: 0.9,
  beta2: 0.999,
  weightDecay: 0.01,
  eps: 1e-8,
  amsgrad: false,
  maximize: false,
};

/** Normal parameters of the shapes, their dtypes taken in turn, with state as before the first step. */
export function randomLists(
  shapes: readonly (readonly number[])[],
  { dtypes = ["float32"], amsgrad = false }: { dtypes?: readonly DType[]; amsgrad?: boolean } = {},
): AdamLists {
  const parameters = shapes.map((shape, at) =>
    torch.randn(shape).to(dtypes[at % dtypes.length] as DType),
  );
  const zeros = () => parameters.map((parameter) => torch.zerosLike(parameter));
  return {
    parameters,
    gradients: parameters.map((parameter) => torch.randnLike(parameter)),
    expAvgs: zeros(),
    expAvgSqs: zeros(),
    maxExpAvgSqs: amsgrad ? zeros() : [],
    steps: parameters.map(() => torch.zeros([])),
  };
}

/** All tensors copied, so that two ways of stepping can start alike. */
export function copied(lists: AdamLists): AdamLists {
  return Object.fromEntries(
    Object.entries(lists).map(([name, tensors]) => [
      name,
      (tensors as Tensor[]).map((tensor) => tensor.detach().clone()),
    ]),
  ) as unknown as AdamLists;
}

const operators = {
  adam: {
    ours: torch.ops.find("wavegpt::adam_.default"),
    libtorch: torch.ops.find("aten::_fused_adam_.default"),
  },
  adamw: {
    ours: torch.ops.find("wavegpt::adamw_.default"),
    libtorch: torch.ops.find("aten::_fused_adamw_.default"),
  },
};

/** One step by our operator; returns the norm, null without `maxNorm`. */
export function step(
  kind: "adam" | "adamw",
  lists: AdamLists,
  values: Partial<AdamValues> & { maxNorm?: number; totalNorm?: Tensor } = {},
): Tensor | null {
  return operators[kind].ours(
    lists.parameters,
    lists.gradients,
    lists.expAvgs,
    lists.expAvgSqs,
    lists.maxExpAvgSqs,
    lists.steps,
    { ...VALUES, ...values },
  ) as Tensor | null;
}

/** The same step by libtorch's operators, which take one dtype a call; gradients are scaled as `clip_grad_norm_` does. */
export function libtorchStep(
  kind: "adam" | "adamw",
  lists: AdamLists,
  values: Partial<AdamValues> = {},
  maxNorm: number | null = null,
): Tensor {
  const norms = lists.gradients.map((gradient) => torch.linalg.vectorNorm(gradient));
  const norm = torch.linalg.vectorNorm(torch.stack(norms));
  const coefficient =
    maxNorm === null ? null : norm.add(1e-6).reciprocal().mul(maxNorm).clamp({ max: 1 });
  for (const [at, parameter] of lists.parameters.entries()) {
    const gradient = lists.gradients[at]!;
    const counter = lists.steps[at]!;
    counter.add_(1);
    operators[kind].libtorch(
      [parameter],
      [coefficient === null ? gradient : gradient.mul(coefficient)],
      [lists.expAvgs[at]],
      [lists.expAvgSqs[at]],
      lists.maxExpAvgSqs.length === 0 ? [] : [lists.maxExpAvgSqs[at]],
      [counter],
      { ...VALUES, ...values },
    );
  }
  return norm;
}

/**
 * The largest difference between two tensors, in units of `epsilon` times the reference's largest value; 0 where they
 * are equal, NaN in the same places included.
 */
export function distance(actual: Tensor, reference: Tensor): number {
  const epsilon = { float32: 2 ** -23, float64: 2 ** -52, bfloat16: 2 ** -7, float16: 2 ** -10 };
  const unit = epsilon[reference.dtype as keyof typeof epsilon];
  return torch.tidy(() => {
    if (reference.numel() === 0 || torch.allclose(actual, reference, 0, 0, { equalNan: true }))
      return 0;
    const [a, b] = [actual.double(), reference.double()];
    const difference = a.sub(b).abs().max().number();
    return difference / (b.abs().max().number() * unit);
  });
}

/** The largest {@link distance} of parameters and state. */
export function farthest(actual: AdamLists, reference: AdamLists): number {
  const names = ["parameters", "expAvgs", "expAvgSqs", "maxExpAvgSqs", "steps"] as const;
  return Math.max(
    ...names.flatMap((name) =>
      reference[name].map((tensor, at) => {
        const value = distance(actual[name][at]!, tensor);
        return Number.isNaN(value) ? Number.POSITIVE_INFINITY : value;
      }),
    ),
  );
}
