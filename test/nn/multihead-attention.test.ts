import { beforeAll, describe, expect, it } from "vitest";
import { nn, type Tensor, torch } from "../../lib/index.js";
import { expectEqual, pytorch, under } from "./pytorch.js";

const SEED = 2017;
const [N, L, S, E] = [2, 5, 4, 12];

interface Case {
  name: string;
  /** Options of the constructor, in Python and here. */
  make: [string, nn.MultiheadAttentionOptions];
  heads?: number;
  /** Whether query, key and value are one tensor, key and value are one, or none. */
  inputs: "self" | "cross" | "three" | "unbatched";
  kdim?: number;
  vdim?: number;
  /** Keyword arguments of the call, in Python. */
  call?: string;
  options?: () => nn.AttentionOptions;
  mode?: "train" | "eval" | "no grad";
}

const causal = (size: number): Tensor => torch.ones([size, size], { dtype: "bool" }).triu(1);
const padding = (length: number): Tensor =>
  torch
    .arange(length, { dtype: "int64" })
    .ge(length - 1)
    .unsqueeze(0)
    .repeat(N, 1);

const CAUSAL = `torch.ones(${L}, ${L}, dtype=torch.bool).triu(1)`;
const pythonPadding = (length: number): string =>
  `(torch.arange(${length}) >= ${length - 1}).unsqueeze(0).repeat(${N}, 1)`;

const CASES: readonly Case[] = [
  { name: "self", make: ["", {}], inputs: "self" },
  { name: "self batch first", make: ["batch_first=True", { batchFirst: true }], inputs: "self" },
  { name: "cross", make: ["batch_first=True", { batchFirst: true }], inputs: "cross" },
  { name: "three inputs", make: ["", {}], inputs: "three" },
  { name: "unbatched", make: ["batch_first=True", { batchFirst: true }], inputs: "unbatched" },
  { name: "no bias", make: ["bias=False", { bias: false }], inputs: "three" },
  { name: "no bias, cross", make: ["bias=False", { bias: false }], inputs: "cross" },
  {
    name: "other sizes",
    make: ["kdim=6, vdim=7", { kdim: 6, vdim: 7 }],
    kdim: 6,
    vdim: 7,
    inputs: "three",
  },
  {
    name: "appended biases and zeros",
    make: ["add_bias_kv=True, add_zero_attn=True", { addBiasKv: true, addZeroAttn: true }],
    inputs: "self",
    call: `attn_mask=${CAUSAL}, key_padding_mask=${pythonPadding(L)}`,
    options: () => ({ attnMask: causal(L), keyPaddingMask: padding(L) }),
  },
  {
    name: "causal with dropout",
    make: ["dropout=0.2, batch_first=True", { dropout: 0.2, batchFirst: true }],
    inputs: "self",
    call: `attn_mask=${CAUSAL}, is_causal=True`,
    options: () => ({ attnMask: causal(L), isCausal: true }),
  },
  {
    name: "causal with dropout, no weights",
    make: ["dropout=0.2, batch_first=True", { dropout: 0.2, batchFirst: true }],
    inputs: "self",
    call: `attn_mask=${CAUSAL}, is_causal=True, need_weights=False`,
    options: () => ({ attnMask: causal(L), isCausal: true, needWeights: false }),
  },
  {
    name: "causal, no weights",
    make: ["batch_first=True", { batchFirst: true }],
    inputs: "self",
    call: `attn_mask=${CAUSAL}, is_causal=True, need_weights=False`,
    options: () => ({ attnMask: causal(L), isCausal: true, needWeights: false }),
  },
  {
    name: "mask, no weights, dropout",
    make: ["dropout=0.5", { dropout: 0.5 }],
    inputs: "self",
    call: `attn_mask=${CAUSAL}, need_weights=False`,
    options: () => ({ attnMask: causal(L), needWeights: false }),
  },
  {
    name: "padding, no weights",
    make: ["batch_first=True", { batchFirst: true }],
    inputs: "cross",
    call: `key_padding_mask=${pythonPadding(S)}, need_weights=False`,
    options: () => ({ keyPaddingMask: padding(S), needWeights: false }),
  },
  {
    name: "float mask of each head, weights of each head",
    make: ["", {}],
    inputs: "self",
    call: `attn_mask=torch.arange(${N * 3 * L * L}, dtype=torch.float32).view(${N * 3}, ${L}, ${L}) / 50, average_attn_weights=False`,
    options: () => ({
      attnMask: torch
        .arange(N * 3 * L * L, { dtype: "float32" })
        .view(N * 3, L, L)
        .div(50),
      averageAttnWeights: false,
    }),
  },
  {
    name: "eval with gradients",
    make: ["dropout=0.5, batch_first=True", { dropout: 0.5, batchFirst: true }],
    inputs: "self",
    mode: "eval",
  },
  // PyTorch's fused inference operator takes these three.
  {
    name: "inference",
    make: ["batch_first=True", { batchFirst: true }],
    heads: 4,
    inputs: "self",
    mode: "no grad",
  },
  {
    name: "inference, causal, no weights",
    make: ["batch_first=True", { batchFirst: true }],
    heads: 4,
    inputs: "self",
    mode: "no grad",
    call: `attn_mask=${CAUSAL}, is_causal=True, need_weights=False`,
    options: () => ({ attnMask: causal(L), isCausal: true, needWeights: false }),
  },
  {
    name: "inference, both masks",
    make: ["batch_first=True", { batchFirst: true }],
    heads: 4,
    inputs: "self",
    mode: "no grad",
    call: `attn_mask=${CAUSAL}, key_padding_mask=${pythonPadding(L)}, average_attn_weights=False`,
    options: () => ({ attnMask: causal(L), keyPaddingMask: padding(L), averageAttnWeights: false }),
  },
  {
    name: "inference with an odd number of heads",
    make: ["batch_first=True", { batchFirst: true }],
    heads: 3,
    inputs: "self",
    mode: "no grad",
  },
];

/** Query, key and value: seeded alike in both languages. */
function shapes({ make: [, options], inputs, kdim = E, vdim = E }: Case): number[][] {
  if (inputs === "unbatched") {
    return [
      [L, E],
      [S, kdim],
      [S, vdim],
    ];
  }
  const order = (length: number, size: number): number[] =>
    options.batchFirst ? [N, length, size] : [length, N, size];
  const source = inputs === "self" ? L : S;
  return [order(L, E), order(source, kdim), order(source, vdim)];
}

const KEY = { self: "q", cross: "k", three: "v", unbatched: "v" } as const;

let expected: Record<string, Tensor>;

beforeAll(() => {
  expected = pytorch(
    CASES.map((item) => {
      const { name, make, heads = 3, inputs, call = "", mode = "train" } = item;
      const [q, k, v] = shapes(item);
      return `
torch.manual_seed(${SEED})
m = nn.MultiheadAttention(${E}, ${heads}, ${make[0]})
for p in m.parameters(): nn.init.normal_(p, 0.0, 0.3)
q = torch.randn(${JSON.stringify(q)}, requires_grad=True)
k = ${inputs === "self" ? "q" : `torch.randn(${JSON.stringify(k)}, requires_grad=True)`}
v = ${inputs === "three" || inputs === "unbatched" ? `torch.randn(${JSON.stringify(v)}, requires_grad=True)` : "k"}
m.train(${mode === "train" ? "True" : "False"})
torch.set_grad_enabled(${mode === "no grad" ? "False" : "True"})
y, w = m(q, k, v, ${call})
keep("${name}/output", y)
if w is not None: keep("${name}/weights", w)
if y.requires_grad:
    y.backward(torch.randn_like(y))
    keep("${name}/query", q.grad); keep("${name}/key", k.grad); keep("${name}/value", v.grad)
    for n, p in m.named_parameters(): keep("${name}/grad." + n, p.grad)
torch.set_grad_enabled(True)
keep("${name}/next", torch.rand(3))`;
    }).join("\n"),
  );
});

describe("MultiheadAttention equals PyTorch's bit for bit, with its dropout stream", () => {
  it.each(CASES)("$name", (item) => {
    const { name, make, heads = 3, inputs, options = () => ({}), mode = "train" } = item;
    torch.manualSeed(SEED);
    using module = new nn.MultiheadAttention(E, heads, make[1]);
    for (const parameter of module.parameters()) {
      nn.init.normal_(parameter, { std: 0.3 });
    }
    const [queryShape, keyShape, valueShape] = shapes(item) as [number[], number[], number[]];
    const query = torch.randn(queryShape, { requiresGrad: true });
    const key = inputs === "self" ? query : torch.randn(keyShape, { requiresGrad: true });
    const value = KEY[inputs] === "v" ? torch.randn(valueShape, { requiresGrad: true }) : key;
    module.train(mode === "train");
    const run = () => module.forward(query, key, value, options());
    const { output, weights } = mode === "no grad" ? torch.noGrad(run) : run();
    const actual: Record<string, Tensor | null> = { output };
    if (weights !== null) {
      actual.weights = weights;
    }
    if (output.requiresGrad) {
      output.backward(torch.randnLike(output));
      actual.query = query.grad;
      actual.key = key.grad;
      actual.value = value.grad;
      for (const [parameter, { grad }] of module.namedParameters()) {
        actual[`grad.${parameter}`] = grad;
      }
    }
    actual.next = torch.rand([3]);
    const reference = under(`${name}/`, expected);
    expectEqual(actual, reference);
    expect(Object.keys(actual).sort()).toEqual(Object.keys(reference).sort());
  });
});

describe("MultiheadAttention says what does not fit", () => {
  const attention = new nn.MultiheadAttention(4, 2, { batchFirst: true });
  const x = torch.randn([2, 3, 4]);
  it.each<[string, () => unknown, string]>([
    [
      "key of other dimensions",
      () => attention.forward(x, torch.randn([3, 4]), x),
      "key must have",
    ],
    ["query of four dimensions", () => attention.forward(x.unsqueeze(0), x, x), "query must have"],
    [
      "mask of one dimension",
      () => attention.forward(x, x, x, { attnMask: torch.zeros([3]) }),
      "attnMask",
    ],
    [
      "mask of wrong shape",
      () => attention.forward(x, x, x, { attnMask: torch.zeros([3, 4]) }),
      "got shape [3, 4]",
    ],
    [
      "mask of integers",
      () => attention.forward(x, x, x, { attnMask: torch.zeros([3, 3], { dtype: "int64" }) }),
      "boolean or floating-point",
    ],
    ["causal without mask", () => attention.forward(x, x, x, { isCausal: true }), "got none"],
    [
      "padding of wrong dimensions",
      () => attention.forward(x, x, x, { keyPaddingMask: torch.zeros([3], { dtype: "bool" }) }),
      "keyPaddingMask must have shape (N, S)",
    ],
  ])("%s", (_name, call, message) => {
    expect(call).toThrow(message);
  });
});
