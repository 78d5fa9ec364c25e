import { beforeAll, describe, expect, it } from "vitest";
import { nn, type Tensor, torch } from "../../lib/index.js";
import { expectEqual, pytorch, under } from "./pytorch.js";

const SEED = 1234;

/** The same layer in both languages; each is made after its own manualSeed. */
const LAYERS: readonly [string, string, () => nn.Module][] = [
  ["linear", "nn.Linear(7, 5)", () => new nn.Linear(7, 5)],
  [
    "linear without bias",
    "nn.Linear(33, 20, bias=False)",
    () => new nn.Linear(33, 20, { bias: false }),
  ],
  [
    "linear float64",
    "nn.Linear(4, 3, dtype=torch.float64)",
    () => new nn.Linear(4, 3, { dtype: "float64" }),
  ],
  [
    "linear bfloat16",
    "nn.Linear(16, 16, dtype=torch.bfloat16)",
    () => new nn.Linear(16, 16, { dtype: "bfloat16" }),
  ],
  ["embedding", "nn.Embedding(65, 9)", () => new nn.Embedding(65, 9)],
  [
    "embedding with padding",
    "nn.Embedding(10, 4, padding_idx=-3)",
    () => new nn.Embedding(10, 4, { paddingIdx: -3 }),
  ],
  ["layer norm", "nn.LayerNorm((3, 4))", () => new nn.LayerNorm([3, 4])],
  [
    "layer norm without bias",
    "nn.LayerNorm(5, bias=False)",
    () => new nn.LayerNorm(5, { bias: false }),
  ],
  ["rms norm", "nn.RMSNorm(6)", () => new nn.RMSNorm(6)],
  ["conv1d", "nn.Conv1d(3, 8, 5)", () => new nn.Conv1d(3, 8, 5)],
  [
    "conv1d in groups",
    "nn.Conv1d(4, 6, 3, padding=1, dilation=2, groups=2, bias=False)",
    () => new nn.Conv1d(4, 6, 3, { padding: 1, dilation: 2, groups: 2, bias: false }),
  ],
  ["attention", "nn.MultiheadAttention(12, 3)", () => new nn.MultiheadAttention(12, 3)],
  [
    "attention without bias",
    "nn.MultiheadAttention(8, 2, bias=False)",
    () => new nn.MultiheadAttention(8, 2, { bias: false }),
  ],
  [
    "attention of other key and value sizes",
    "nn.MultiheadAttention(8, 2, kdim=6, vdim=10, add_bias_kv=True)",
    () => new nn.MultiheadAttention(8, 2, { kdim: 6, vdim: 10, addBiasKv: true }),
  ],
  [
    "stack",
    "nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 4), nn.Embedding(3, 2))",
    () =>
      new nn.Sequential(
        new nn.Linear(4, 8),
        new nn.GELU(),
        new nn.Linear(8, 4),
        new nn.Embedding(3, 2),
      ),
  ],
];

/** The same initialiser in both languages, on a tensor of the given shape. */
const INITIALISERS: readonly [string, readonly number[], string, (t: Tensor) => Tensor][] = [
  ["uniform_", [4, 6], "uniform_(t, -2.0, 3.0)", (t) => nn.init.uniform_(t, { a: -2, b: 3 })],
  ["normal_", [5, 7], "normal_(t, 1.0, 0.02)", (t) => nn.init.normal_(t, { mean: 1, std: 0.02 })],
  ["normal_ of few", [3], "normal_(t)", (t) => nn.init.normal_(t)],
  ["constant_", [3], "constant_(t, 0.3)", (t) => nn.init.constant_(t, 0.3)],
  ["ones_", [2, 2], "ones_(t)", (t) => nn.init.ones_(t)],
  ["zeros_", [2, 2], "zeros_(t)", (t) => nn.init.zeros_(t)],
  ["eye_", [3, 5], "eye_(t)", (t) => nn.init.eye_(t)],
  [
    "truncNormal_",
    [40, 5],
    "trunc_normal_(t, std=0.5, a=-0.6, b=1.0)",
    (t) => nn.init.truncNormal_(t, { std: 0.5, a: -0.6, b: 1 }),
  ],
  [
    "truncNormal_ of the tail",
    [40, 5],
    "trunc_normal_(t, mean=0.0, std=1.0, a=1.0, b=1.5)",
    (t) => nn.init.truncNormal_(t, { a: 1, b: 1.5 }),
  ],
  [
    "xavierUniform_",
    [6, 4, 3],
    "xavier_uniform_(t, gain=1.5)",
    (t) => nn.init.xavierUniform_(t, { gain: 1.5 }),
  ],
  ["xavierNormal_", [6, 4], "xavier_normal_(t)", (t) => nn.init.xavierNormal_(t)],
  [
    "kaimingUniform_",
    [6, 4],
    "kaiming_uniform_(t, a=0.3, mode='fan_out')",
    (t) => nn.init.kaimingUniform_(t, { a: 0.3, mode: "fan_out" }),
  ],
  [
    "kaimingNormal_",
    [6, 4],
    "kaiming_normal_(t, nonlinearity='relu')",
    (t) => nn.init.kaimingNormal_(t, { nonlinearity: "relu" }),
  ],
  [
    "orthogonal_ of wide",
    [3, 5],
    "orthogonal_(t, gain=0.5)",
    (t) => nn.init.orthogonal_(t, { gain: 0.5 }),
  ],
  ["orthogonal_ of tall", [6, 2], "orthogonal_(t)", (t) => nn.init.orthogonal_(t)],
];

let expected: Record<string, Tensor>;

beforeAll(() => {
  const layers = LAYERS.map(
    ([name, code]) => `
torch.manual_seed(${SEED})
m = ${code}
for k, v in m.state_dict().items(): keep("${name}/" + k, v)
keep("${name}/next", torch.rand(4))`,
  );
  const initialisers = INITIALISERS.map(
    ([name, shape, code]) => `
torch.manual_seed(${SEED})
t = torch.empty(${JSON.stringify(shape)})
nn.init.${code}
keep("${name}/values", t)
keep("${name}/next", torch.rand(4))`,
  );
  expected = pytorch([...layers, ...initialisers].join("\n"));
});

describe("default initialisation equals PyTorch's, seed for seed", () => {
  it.each(LAYERS)("%s", (name, _code, make) => {
    torch.manualSeed(SEED);
    using module = make();
    const state = module.stateDict();
    // Draws of the same number leave the generator in the same state.
    expectEqual({ ...state, next: torch.rand([4]) }, under(`${name}/`, expected));
    expect(Object.keys(state)).toEqual(
      Object.keys(state).filter((key) => under(`${name}/`, expected)[key] !== undefined),
    );
    expect(Object.keys(state).length + 1).toBe(Object.keys(under(`${name}/`, expected)).length);
  });
});

describe("initialisers equal PyTorch's, seed for seed", () => {
  it.each(INITIALISERS)("%s", (name, shape, _code, fill) => {
    torch.manualSeed(SEED);
    const tensor = torch.empty([...shape]);
    expect(fill(tensor)).toBe(tensor);
    expectEqual({ values: tensor, next: torch.rand([4]) }, under(`${name}/`, expected));
  });

  it("draw from a generator of one's own", () => {
    const generator = new torch.Generator();
    generator.manualSeed(7);
    torch.manualSeed(7);
    const a = nn.init.xavierNormal_(torch.empty([3, 4]), { generator });
    const b = nn.init.xavierNormal_(torch.empty([3, 4]));
    expect(torch.equal(a, b)).toBe(true);
  });

  it("change a parameter without autograd noticing", () => {
    using layer = new nn.Linear(2, 2);
    nn.init.constant_(layer.weight, 3);
    expect(layer.weight.requiresGrad).toBe(true);
    expect(layer.weight.gradFn).toBe(null);
    expect(layer.weight.tolist()).toEqual([
      [3, 3],
      [3, 3],
    ]);
  });

  it("refuse shapes they cannot fill", () => {
    expect(() => nn.init.xavierUniform_(torch.empty([3]))).toThrow(
      "at least 2 dimensions; got shape [3]",
    );
    expect(() => nn.init.eye_(torch.empty([3]))).toThrow("2 dimensions; got shape [3]");
    expect(() => nn.init.orthogonal_(torch.empty([3]))).toThrow("got shape [3]");
  });

  it("know PyTorch's gains", () => {
    expect(nn.init.calculateGain("linear")).toBe(1);
    expect(nn.init.calculateGain("tanh")).toBe(5 / 3);
    expect(nn.init.calculateGain("relu")).toBe(Math.SQRT2);
    expect(nn.init.calculateGain("leaky_relu", 0.2)).toBe(Math.sqrt(2 / 1.04));
    expect(nn.init.calculateGain("selu")).toBe(0.75);
    expect(() => nn.init.calculateGain("softplus" as "relu")).toThrow("softplus");
  });
});
