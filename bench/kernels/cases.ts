import { nn, type Tensor, torch } from "../../lib/index.js";

const { embedding, layerNorm, linear, gelu, relu, crossEntropy, scaledDotProductAttention } =
  nn.functional;

/** A tensor that an operator is given; without `below`, normal random numbers. */
export interface TensorSpec {
  readonly shape: readonly number[];
  /** Standard deviation; default 1. */
  readonly deviation?: number;
  /** Without the numbers' signs. */
  readonly positive?: boolean;
  /** Whether it requires a gradient. */
  readonly gradient?: boolean;
  /** Whether autocast to bfloat16 would hand it on in bfloat16: what a matrix product before it made. */
  readonly product?: boolean;
  /** Whole numbers from 0 to below this, int64. */
  readonly below?: number;
}

export type Tensors = Readonly<Record<string, Tensor>>;

/** One of our operators, with the same work done by libtorch's. `bench/peer/kernels.py` has the third form, by `name`. */
export interface KernelCase {
  /** The function in `bench/peer/kernels.py`, and the text that `--only` looks in. */
  readonly name: string;
  readonly operator: string;
  readonly tensors: Readonly<Record<string, TensorSpec>>;
  /** What both sides are told beside the tensors. */
  readonly settings: Readonly<Record<string, number | string>>;
  readonly fused: (operator: Operator, tensors: Tensors) => readonly Tensor[];
  readonly composed: (tensors: Tensors) => readonly Tensor[];
}

/** An operator by its schema, with whatever arguments. */
export type Operator = (...values: unknown[]) => unknown;

const [B, T, C, HEADS, LAYERS, P, EPS] = [32, 64, 128, 4, 4, 0.2, 1e-5];
const FACTOR = 4;
const DILATION = 8;
const DECAY = 0.99;

const activation = { shape: [B, T, C], gradient: true };
const vector = (size: number) => ({ shape: [size], gradient: true });
/** Weights that keep what they multiply about as large as it was. */
const matrix = (rows: number, columns: number) => ({
  shape: [rows, columns],
  deviation: columns ** -0.5,
  gradient: true,
});

const one = (result: unknown) => [result as Tensor];

function linearCase(activationName: "none" | "gelu"): KernelCase {
  return {
    name: activationName === "none" ? "linear" : "linear_gelu",
    operator: "wavegpt::linear",
    tensors: { x: activation, weight: matrix(4 * C, C), bias: vector(4 * C) },
    settings: {},
    fused: (operator, { x, weight, bias }) => one(operator(x, weight, bias, activationName)),
    composed: ({ x, weight, bias }) => {
      const y = linear(x!, weight!, bias!);
      return [activationName === "none" ? y : gelu(y)];
    },
  };
}

function lossCase(vocabulary: number): KernelCase {
  return {
    name: `linear_cross_entropy_${vocabulary}`,
    operator: "wavegpt::linear_cross_entropy",
    tensors: {
      x: { shape: [B * T, C], gradient: true },
      weight: matrix(vocabulary, C),
      bias: vector(vocabulary),
      target: { shape: [B * T], below: vocabulary },
    },
    settings: {},
    fused: (operator, { x, weight, bias, target }) => one(operator(x, weight, bias, target)),
    composed: ({ x, weight, bias, target }) => [crossEntropy(linear(x!, weight!, bias!), target!)],
  };
}

export const CASES: readonly KernelCase[] = [
  {
    name: "dropout_mask",
    operator: "wavegpt::dropout_mask",
    tensors: { ones: { shape: [B, T, C] } },
    settings: { p: P },
    fused: (operator) => one(operator([B, T, C], P, 1)),
    composed: ({ ones }) => [torch.dropout(ones!, P, true)],
  },
  linearCase("none"),
  linearCase("gelu"),
  {
    name: "mlp",
    operator: "wavegpt::mlp",
    tensors: {
      x: activation,
      w1: matrix(4 * C, C),
      b1: vector(4 * C),
      w2: matrix(C, 4 * C),
      b2: vector(C),
    },
    settings: {},
    fused: (operator, { x, w1, b1, w2, b2 }) => one(operator(x, w1, b1, w2, b2)),
    composed: ({ x, w1, b1, w2, b2 }) => [linear(gelu(linear(x!, w1!, b1!)), w2!, b2!)],
  },
  {
    name: "add_dropout_layer_norm",
    operator: "wavegpt::add_dropout_layer_norm",
    tensors: {
      residual: activation,
      x: { ...activation, product: true },
      weight: vector(C),
      bias: vector(C),
    },
    settings: { p: P, eps: EPS },
    fused: (operator, { residual, x, weight, bias }) =>
      operator(residual, x, weight, bias, EPS, P, true) as Tensor[],
    composed: ({ residual, x, weight, bias }) => {
      const sum = residual!.add(torch.dropout(x!, P, true));
      return [sum, layerNorm(sum, [C], { weight: weight!, bias: bias!, eps: EPS })];
    },
  },
  {
    name: "attention",
    operator: "wavegpt::attention",
    tensors: { qkv: { shape: [B, T, 3 * C], gradient: true, product: true } },
    settings: { heads: HEADS, p: P },
    fused: (operator, { qkv }) => one(operator(qkv, HEADS, P, true)),
    composed: ({ qkv }) => {
      const [q, k, v] = qkv!
        .view(B, T, 3, HEADS, C / HEADS)
        .permute(2, 0, 3, 1, 4)
        .unbind(0) as [Tensor, Tensor, Tensor];
      const mixed = scaledDotProductAttention(q, k, v, { dropoutP: P, isCausal: true });
      return [mixed.transpose(1, 2).reshape(B, T, C)];
    },
  },
  lossCase(65),
  lossCase(50_304),
  {
    name: "token_position_embedding",
    operator: "wavegpt::token_position_embedding",
    tensors: {
      tokens: { shape: [B, T], below: 65 },
      token_weight: matrix(65, C),
      position_weight: matrix(T, C),
    },
    settings: {},
    fused: (operator, { tokens, token_weight, position_weight }) =>
      one(operator(tokens, token_weight, position_weight, 0)),
    composed: ({ tokens, token_weight, position_weight }) => [
      embedding(tokens!, token_weight!).add(position_weight!.narrow(0, 0, T)),
    ],
  },
  {
    name: "wave_layer",
    operator: "wavegpt::wave_layer",
    tensors: {
      x: activation,
      norm_weight: vector(FACTOR * C),
      norm_bias: vector(FACTOR * C),
      weight: matrix(C, FACTOR * C),
      bias: vector(C),
    },
    settings: { factor: FACTOR, eps: EPS },
    fused: (operator, { x, norm_weight, norm_bias, weight, bias }) =>
      one(operator(x, FACTOR, norm_weight, norm_bias, weight, bias, EPS)),
    composed: ({ x, norm_weight, norm_bias, weight, bias }) => {
      const joined = x!.reshape([B, T / FACTOR, FACTOR * C]);
      const normed = layerNorm(joined, [FACTOR * C], {
        weight: norm_weight!,
        bias: norm_bias!,
        eps: EPS,
      });
      return [relu(linear(normed, weight!, bias!))];
    },
  },
  {
    name: "gated_conv",
    operator: "wavegpt::gated_conv",
    tensors: {
      x: { ...activation, product: true },
      past: { shape: [B, DILATION, C] },
      w1: matrix(2 * C, 2 * C),
      b1: vector(2 * C),
      w2: matrix(C, C),
      b2: vector(C),
    },
    settings: { dilation: DILATION },
    fused: (operator, { x, past, w1, b1, w2, b2 }) => one(operator(x, past, w1, b1, w2, b2)),
    composed: ({ x, past, w1, b1, w2, b2 }) => {
      const before = torch.cat([past!.to(x!.dtype), x!.narrow(1, 0, T - DILATION)], 1);
      const z = linear(torch.cat([before, x!], -1), w1!, b1!);
      const [filter, gate] = z.chunk(2, -1) as [Tensor, Tensor];
      return [linear(filter.tanh().mul(gate.sigmoid()), w2!, b2!)];
    },
  },
  {
    name: "retention",
    operator: "wavegpt::retention",
    tensors: {
      qkvg: { shape: [B, T, 4 * C], gradient: true, product: true },
      state: { shape: [B, HEADS, C / HEADS, C / HEADS] },
    },
    settings: { heads: HEADS, decay: DECAY, eps: EPS },
    fused: (operator, { qkvg, state }) => {
      const decays = new Array<number>(HEADS).fill(DECAY);
      return [(operator(qkvg, state, decays, EPS) as Tensor[])[0]!];
    },
    composed: ({ qkvg, state }) => {
      const width = C / HEADS;
      const [q, k, v, gate] = qkvg!
        .view(B, T, 4, HEADS, width)
        .permute(2, 0, 3, 1, 4)
        .unbind(0) as [Tensor, Tensor, Tensor, Tensor];
      const passed = torch.arange(1, T + 1, { dtype: "float32" }).unsqueeze(-1);
      const queries = q.mul(torch.pow(DECAY, passed));
      const keys = k.mul(torch.pow(DECAY, passed.neg()).div(Math.sqrt(width)));
      const weights = queries.matmul(keys.transpose(-2, -1)).tril();
      const o = weights.matmul(v).add(queries.matmul(state!));
      const out = layerNorm(o, [width], { eps: EPS }).mul(nn.functional.silu(gate));
      return [out.transpose(1, 2).reshape([B, T, C])];
    },
  },
  {
    name: "token_shift",
    operator: "wavegpt::token_shift",
    tensors: {
      x: { ...activation, product: true },
      past: { shape: [B, 1, C] },
      share: vector(C),
    },
    settings: {},
    fused: (operator, { x, past, share }) => one(operator(x, past, share)),
    composed: ({ x, past, share }) => {
      const before = torch.cat([past!.to(x!.dtype), x!.narrow(1, 0, T - 1)], 1);
      return [torch.lerp(x!, before, share!.to(x!.dtype))];
    },
  },
  {
    name: "mix",
    operator: "wavegpt::mix",
    tensors: {
      g: activation,
      h: { shape: [B, 1, C], gradient: true },
      beta: vector(1),
    },
    settings: {},
    fused: (operator, { g, h, beta }) => one(operator(g, h, beta)),
    composed: ({ g, h, beta }) => [g!.mul(beta!.neg().add(1)).add(h!.mul(beta!))],
  },
  adamCase(65, 0),
  adamCase(65, 1),
  adamCase(50_304, 0),
  adamCase(50_304, 1),
];

/** The shapes of a GPT's parameters. */
function parameterShapes(vocabulary: number): number[][] {
  const block = [
    [3 * C, C],
    [3 * C],
    [C, C],
    [C],
    [4 * C, C],
    [4 * C],
    [C, 4 * C],
    ...Array.from({ length: 5 }, () => [C]),
  ];
  const blocks = Array.from({ length: LAYERS }, () => block).flat();
  return [[vocabulary, C], [T, C], ...blocks, [C], [C], [vocabulary, C], [vocabulary]];
}

/** A step of AdamW over a GPT's parameters; with `clip`, the gradients' norm is brought down to that first. */
function adamCase(vocabulary: number, clip: number): KernelCase {
  const shapes = parameterShapes(vocabulary);
  const named = (kind: string) => shapes.map((_, at) => `${kind}${at}`);
  const tensors: Record<string, TensorSpec> = {};
  for (const kind of ["parameter", "gradient", "mean", "square"]) {
    for (const [at, shape] of shapes.entries()) {
      tensors[`${kind}${at}`] = { shape, deviation: 0.1, positive: kind === "square" };
    }
  }
  for (const name of named("step")) tensors[name] = { shape: [], positive: true };
  const lists = (given: Tensors) =>
    ["parameter", "gradient", "mean", "square", "step"].map((kind) =>
      named(kind).map((name) => given[name]!),
    ) as [Tensor[], Tensor[], Tensor[], Tensor[], Tensor[]];
  const options = { lr: 1e-4, beta1: 0.9, beta2: 0.999, weightDecay: 0.01, eps: 1e-8 };
  return {
    name: `adamw_${vocabulary}${clip > 0 ? "_clip" : ""}`,
    operator: "wavegpt::adamw_",
    tensors,
    settings: { clip },
    fused: (operator, given) => {
      const [parameters, gradients, means, squares, steps] = lists(given);
      const maxNorm = clip > 0 ? clip : null;
      operator(parameters, gradients, means, squares, [], steps, { ...options, maxNorm });
      return [];
    },
    composed: (given) => {
      const { aten } = torch.ops;
      const [parameters, gradients, means, squares, steps] = lists(given);
      if (clip > 0) {
        const norms = torch.stack(aten._foreach_norm.Scalar(gradients, 2) as Tensor[]);
        const total = torch.linalg.vectorNorm(norms);
        aten._foreach_mul_.Tensor(
          gradients,
          total.add(1e-6).reciprocal().mul(clip).clamp({ max: 1 }),
        );
      }
      aten._foreach_add_.Scalar(steps, 1);
      const more = { ...options, amsgrad: false, maximize: false };
      aten._fused_adamw_.default(parameters, gradients, means, squares, [], steps, more);
      return [];
    },
  };
}
