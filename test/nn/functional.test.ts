import { beforeAll, describe, expect, it } from "vitest";
import { nn, type Tensor, torch } from "../../lib/index.js";
import { expectEqual, pytorch, under } from "./pytorch.js";

const { functional: F } = nn;

/** The inputs, drawn alike in both languages. */
const DRAWS = `
torch.manual_seed(5)
logits = torch.randn(6, 7, requires_grad=True)
target = torch.tensor([0, 6, -100, 3, 2, 3])
probabilities = torch.rand(6, 7)
weight = torch.rand(7)
spatial = torch.randn(2, 7, 3, requires_grad=True)
spatial_target = torch.tensor([[0, 1, 2], [6, 5, 4]])
other = torch.randn(6, 7)
q = torch.randn(2, 4, 5, 8, requires_grad=True)
k = torch.randn(2, 4, 5, 8, requires_grad=True)
v = torch.randn(2, 4, 5, 8, requires_grad=True)
allowed = torch.ones(5, 5, dtype=torch.bool).tril()
`;

function draws() {
  torch.manualSeed(5);
  return {
    logits: torch.randn([6, 7], { requiresGrad: true }),
    target: torch.tensor([0, 6, -100, 3, 2, 3], { dtype: "int64" }),
    probabilities: torch.rand([6, 7]),
    weight: torch.rand([7]),
    spatial: torch.randn([2, 7, 3], { requiresGrad: true }),
    spatialTarget: torch.tensor(
      [
        [0, 1, 2],
        [6, 5, 4],
      ],
      { dtype: "int64" },
    ),
    other: torch.randn([6, 7]),
    q: torch.randn([2, 4, 5, 8], { requiresGrad: true }),
    k: torch.randn([2, 4, 5, 8], { requiresGrad: true }),
    v: torch.randn([2, 4, 5, 8], { requiresGrad: true }),
    allowed: torch.ones([5, 5], { dtype: "bool" }).tril(),
  };
}

type Draws = ReturnType<typeof draws>;

/** Python's call, the same call here, and the input whose gradient is compared. */
const CALLS: readonly [string, (d: Draws) => Tensor, "logits" | "spatial" | "q"][] = [
  ["F.cross_entropy(logits, target)", (d) => F.crossEntropy(d.logits, d.target), "logits"],
  [
    "F.cross_entropy(logits, target, weight=weight, ignore_index=3, reduction='sum', label_smoothing=0.1)".replace(
      "target,",
      "target.clamp(min=0),",
    ),
    (d) =>
      F.crossEntropy(d.logits, d.target.clampMin(0), {
        weight: d.weight,
        ignoreIndex: 3,
        reduction: "sum",
        labelSmoothing: 0.1,
      }),
    "logits",
  ],
  [
    "F.cross_entropy(logits, target, reduction='none')",
    (d) => F.crossEntropy(d.logits, d.target, { reduction: "none" }),
    "logits",
  ],
  [
    "F.cross_entropy(logits, probabilities)",
    (d) => F.crossEntropy(d.logits, d.probabilities),
    "logits",
  ],
  [
    "F.cross_entropy(spatial, spatial_target)",
    (d) => F.crossEntropy(d.spatial, d.spatialTarget),
    "spatial",
  ],
  [
    "F.nll_loss(F.log_softmax(logits, -1), target)",
    (d) => F.nllLoss(F.logSoftmax(d.logits, -1), d.target),
    "logits",
  ],
  ["F.mse_loss(logits, other)", (d) => F.mseLoss(d.logits, d.other), "logits"],
  [
    "F.l1_loss(logits, other, reduction='sum')",
    (d) => F.l1Loss(d.logits, d.other, { reduction: "sum" }),
    "logits",
  ],
  [
    "F.binary_cross_entropy_with_logits(logits, probabilities, pos_weight=weight)",
    (d) => F.binaryCrossEntropyWithLogits(d.logits, d.probabilities, { posWeight: d.weight }),
    "logits",
  ],
  ["F.softmax(logits, 0)", (d) => F.softmax(d.logits, 0), "logits"],
  [
    "F.softmax(logits, 1, dtype=torch.float64)",
    (d) => F.softmax(d.logits, 1, { dtype: "float64" }),
    "logits",
  ],
  ["F.normalize(logits)", (d) => F.normalize(d.logits), "logits"],
  ["F.normalize(logits, p=1.0, dim=0)", (d) => F.normalize(d.logits, { p: 1, dim: 0 }), "logits"],
  ["F.pad(logits, (1, 2), value=3.0)", (d) => F.pad(d.logits, [1, 2], { value: 3 }), "logits"],
  [
    "F.pad(spatial, (1, 2), mode='reflect')",
    (d) => F.pad(d.spatial, [1, 2], { mode: "reflect" }),
    "spatial",
  ],
  ["F.dropout(logits, 0.4)", (d) => F.dropout(d.logits, { p: 0.4 }), "logits"],
  [
    "F.scaled_dot_product_attention(q, k, v, is_causal=True)",
    (d) => F.scaledDotProductAttention(d.q, d.k, d.v, { isCausal: true }),
    "q",
  ],
  [
    "F.scaled_dot_product_attention(q, k, v, attn_mask=allowed, dropout_p=0.3, scale=0.2)",
    (d) =>
      F.scaledDotProductAttention(d.q, d.k, d.v, {
        attnMask: d.allowed,
        dropoutP: 0.3,
        scale: 0.2,
      }),
    "q",
  ],
  [
    "F.scaled_dot_product_attention(q, k[:, :2], v[:, :2], enable_gqa=True)",
    (d) =>
      F.scaledDotProductAttention(d.q, d.k.narrow(1, 0, 2), d.v.narrow(1, 0, 2), {
        enableGqa: true,
      }),
    "q",
  ],
];

let expected: Record<string, Tensor>;

beforeAll(() => {
  expected = pytorch(
    CALLS.map(
      ([code, , input]) => `${DRAWS}
y = ${code}
keep("""${code}/output""", y)
y.sum().backward()
keep("""${code}/gradient""", ${input}.grad)`,
    ).join("\n"),
  );
});

describe("nn.functional equals torch.nn.functional bit for bit, gradients too", () => {
  it.each(CALLS)("%s", (code, call, input) => {
    const inputs = draws();
    const output = call(inputs);
    output.sum().backward();
    expectEqual({ output, gradient: inputs[input].grad }, under(`${code}/`, expected));
  });

  it("oneHot", () => {
    const classes = torch.tensor([2, 0], { dtype: "int64" });
    expect(F.oneHot(classes).tolist()).toEqual([
      [0, 0, 1],
      [1, 0, 0],
    ]);
    expect(F.oneHot(classes, { numClasses: 4 }).tolist()).toEqual([
      [0, 0, 1, 0],
      [1, 0, 0, 0],
    ]);
  });

  it("refuses an unknown reduction", () => {
    const { logits, other } = draws();
    // @ts-expect-error: a misspelt reduction does not compile either.
    expect(() => F.mseLoss(logits, other, { reduction: "avg" })).toThrow('got "avg"');
    // @ts-expect-error: nor does a misspelt option.
    expect(F.mseLoss(logits, other, { reductoin: "sum" }).shape).toEqual([]);
  });
});
