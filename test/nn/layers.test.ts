import { beforeAll, describe, expect, it } from "vitest";
import { nn, type Tensor, torch } from "../../lib/index.js";
import { expectEqual, pytorch, under } from "./pytorch.js";

const SEED = 99;

/** The same layer and input in both languages. */
const CASES: readonly {
  name: string;
  layer: string;
  input: string;
  make: () => nn.UnaryModule;
  makeInput: () => Tensor;
}[] = [
  {
    name: "Linear",
    layer: "nn.Linear(7, 5)",
    input: "torch.randn(2, 3, 7)",
    make: () => new nn.Linear(7, 5),
    makeInput: () => torch.randn([2, 3, 7]),
  },
  {
    name: "Linear without bias",
    layer: "nn.Linear(7, 5, bias=False)",
    input: "torch.randn(4, 7)",
    make: () => new nn.Linear(7, 5, { bias: false }),
    makeInput: () => torch.randn([4, 7]),
  },
  {
    name: "Embedding",
    layer: "nn.Embedding(10, 4, padding_idx=2)",
    input: "torch.randint(0, 10, (3, 6))",
    make: () => new nn.Embedding(10, 4, { paddingIdx: 2 }),
    makeInput: () => torch.randint(10, [3, 6]),
  },
  {
    name: "LayerNorm",
    layer: "nn.LayerNorm(8, eps=1e-6)",
    input: "torch.randn(3, 8)",
    make: () => new nn.LayerNorm(8, { eps: 1e-6 }),
    makeInput: () => torch.randn([3, 8]),
  },
  {
    name: "LayerNorm over two dimensions",
    layer: "nn.LayerNorm((3, 8), bias=False)",
    input: "torch.randn(2, 3, 8)",
    make: () => new nn.LayerNorm([3, 8], { bias: false }),
    makeInput: () => torch.randn([2, 3, 8]),
  },
  {
    name: "LayerNorm without weight",
    layer: "nn.LayerNorm(8, elementwise_affine=False)",
    input: "torch.randn(3, 8)",
    make: () => new nn.LayerNorm(8, { elementwiseAffine: false }),
    makeInput: () => torch.randn([3, 8]),
  },
  {
    name: "RMSNorm",
    layer: "nn.RMSNorm(8)",
    input: "torch.randn(3, 8)",
    make: () => new nn.RMSNorm(8),
    makeInput: () => torch.randn([3, 8]),
  },
  {
    name: "RMSNorm with eps",
    layer: "nn.RMSNorm(8, eps=0.01)",
    input: "torch.randn(3, 8)",
    make: () => new nn.RMSNorm(8, { eps: 0.01 }),
    makeInput: () => torch.randn([3, 8]),
  },
  {
    name: "Dropout",
    layer: "nn.Dropout(0.3)",
    input: "torch.randn(5, 8)",
    make: () => new nn.Dropout(0.3),
    makeInput: () => torch.randn([5, 8]),
  },
  {
    name: "Conv1d",
    layer: "nn.Conv1d(4, 6, 3, stride=2, padding=2, dilation=2, groups=2)",
    input: "torch.randn(2, 4, 11)",
    make: () => new nn.Conv1d(4, 6, 3, { stride: 2, padding: 2, dilation: 2, groups: 2 }),
    makeInput: () => torch.randn([2, 4, 11]),
  },
  {
    name: "Conv1d same",
    layer: "nn.Conv1d(4, 6, 4, padding='same', bias=False)",
    input: "torch.randn(2, 4, 11)",
    make: () => new nn.Conv1d(4, 6, 4, { padding: "same", bias: false }),
    makeInput: () => torch.randn([2, 4, 11]),
  },
  ...(
    [
      ["GELU", "nn.GELU()", () => new nn.GELU()],
      ["GELU tanh", "nn.GELU(approximate='tanh')", () => new nn.GELU({ approximate: "tanh" })],
      ["ReLU", "nn.ReLU()", () => new nn.ReLU()],
      ["SiLU", "nn.SiLU()", () => new nn.SiLU()],
      ["Tanh", "nn.Tanh()", () => new nn.Tanh()],
      ["Sigmoid", "nn.Sigmoid()", () => new nn.Sigmoid()],
      ["Identity", "nn.Identity()", () => new nn.Identity()],
    ] as const
  ).map(([name, layer, make]) => ({
    name,
    layer,
    input: "torch.randn(4, 9)",
    make,
    makeInput: () => torch.randn([4, 9]),
  })),
  {
    name: "Sequential",
    layer: "nn.Sequential(nn.Linear(7, 9), nn.GELU(), nn.Dropout(0.1), nn.Linear(9, 3))",
    input: "torch.randn(4, 7)",
    make: () =>
      new nn.Sequential(
        new nn.Linear(7, 9),
        new nn.GELU(),
        new nn.Dropout(0.1),
        new nn.Linear(9, 3),
      ),
    makeInput: () => torch.randn([4, 7]),
  },
];

let expected: Record<string, Tensor>;

beforeAll(() => {
  expected = pytorch(
    CASES.map(
      ({ name, layer, input }) => `
torch.manual_seed(${SEED})
m = ${layer}
x = ${input}
if x.is_floating_point(): x.requires_grad_()
y = m(x)
g = torch.randn_like(y)
y.backward(g)
keep("${name}/output", y)
if x.grad is not None: keep("${name}/input", x.grad)
for k, p in m.named_parameters(): keep("${name}/grad." + k, p.grad)
m.eval()
keep("${name}/eval", m(x))
keep("${name}/next", torch.rand(3))`,
    ).join("\n"),
  );
});

describe("layers compute and differentiate as PyTorch's, bit for bit", () => {
  it.each(CASES)("$name", ({ name, make, makeInput }) => {
    torch.manualSeed(SEED);
    using module = make();
    const input = makeInput();
    const differentiable = input.dtype === "float32";
    input.requiresGrad_(differentiable);
    const output = module.forward(input);
    output.backward(torch.randnLike(output));
    const reference = under(`${name}/`, expected);
    const actual: Record<string, Tensor | null> = { output };
    if (differentiable) {
      actual.input = input.grad;
    }
    for (const [key, parameter] of module.namedParameters()) {
      actual[`grad.${key}`] = parameter.grad;
    }
    actual.eval = module.eval().forward(input);
    actual.next = torch.rand([3]);
    expectEqual(actual, reference);
    expect(Object.keys(actual).sort()).toEqual(Object.keys(reference).sort());
  });
});

describe("layers refuse what they cannot be", () => {
  it.each([
    [() => new nn.Dropout(1.5), "between 0 and 1; got 1.5"],
    [() => new nn.Embedding(4, 2, { paddingIdx: 4 }), "from -4 to 3"],
    [() => new nn.Conv1d(3, 4, 1, { groups: 2 }), "divisible by groups"],
    [() => new nn.Conv1d(4, 4, 1, { stride: 2, padding: "same" }), "needs stride 1"],
    [() => new nn.MultiheadAttention(10, 3), "divisible by numHeads"],
    [() => new nn.MultiheadAttention(9, 3, { dropout: -1 }), "got -1"],
  ])("%#", (make, message) => {
    expect(make).toThrow(message);
  });
});
