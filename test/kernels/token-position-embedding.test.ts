import { describe, expect, test } from "vitest";
import { type DType, nn, type Tensor, torch } from "../../lib/index.js";
import { CAPABILITIES, deriveOn } from "./capability.js";
import { distance, identical, leaf } from "./compare.js";
import { gradcheck } from "./gradcheck.js";

const embed = torch.ops.find("wavegpt::token_position_embedding.default") as (
  tokens: Tensor,
  tokenWeight: Tensor,
  positionWeight: Tensor,
  firstPosition: number,
) => Tensor;

/** libtorch's operators for the same. */
const composed: typeof embed = (tokens, tokenWeight, positionWeight, firstPosition) =>
  nn.functional
    .embedding(tokens, tokenWeight)
    .add(positionWeight.narrow(0, firstPosition, tokens.shape[1]!));

interface Problem {
  readonly tokens: Tensor;
  readonly tokenWeight: Tensor;
  readonly positionWeight: Tensor;
  readonly first: number;
}

interface Sizes {
  readonly batch: number;
  readonly length: number;
  readonly channels: number;
  readonly vocabulary: number;
  readonly positions: number;
  readonly first: number;
}

function problem(sizes: Sizes, dtype: DType = "float32"): Problem {
  const { batch, length, channels, vocabulary, positions, first } = sizes;
  torch.manualSeed(batch + length);
  return {
    tokens: torch.randint(vocabulary, [batch, length]),
    tokenWeight: leaf(torch.randn([vocabulary, channels]), dtype),
    positionWeight: leaf(torch.randn([positions, channels]), dtype),
    first,
  };
}

/** The output and the gradients of both weights. */
function derive({ tokens, tokenWeight, positionWeight, first }: Problem, of = embed): Tensor[] {
  const out = of(tokens, tokenWeight, positionWeight, first);
  torch.manualSeed(2);
  const gradOutputs = [torch.randn(out.shape).to(out.dtype)];
  return [
    out.detach(),
    ...torch.autograd.grad([out], [tokenWeight, positionWeight], { gradOutputs }),
  ];
}

const CASES: [name: string, Sizes][] = [
  ["one of each", { batch: 1, length: 1, channels: 1, vocabulary: 1, positions: 1, first: 0 }],
  ["primes", { batch: 3, length: 7, channels: 37, vocabulary: 11, positions: 13, first: 5 }],
  [
    "the last positions",
    { batch: 2, length: 4, channels: 16, vocabulary: 5, positions: 9, first: 5 },
  ],
  [
    "many of one token",
    { batch: 16, length: 33, channels: 128, vocabulary: 2, positions: 33, first: 0 },
  ],
  [
    "more tokens than are there",
    { batch: 2, length: 5, channels: 65, vocabulary: 3001, positions: 5, first: 0 },
  ],
  ["wide", { batch: 2, length: 3, channels: 1009, vocabulary: 7, positions: 3, first: 0 }],
];

test.each(CASES)("%s: as libtorch's operators", (_, sizes) => {
  for (const dtype of ["float32", "float64"] as const) {
    const p = problem(sizes, dtype);
    const expected = derive(p, composed);
    const got = derive(p);
    expect(identical(got[0]!, expected[0]!)).toBe(true);
    const tolerance = dtype === "float32" ? 1e-6 : 1e-14;
    for (const i of [1, 2]) {
      expect(got[i]!.dtype).toBe(dtype);
      expect(got[i]!.shape).toEqual(expected[i]!.shape);
      expect(distance(got[i]!, expected[i]!)).toBeLessThan(tolerance);
    }
  }
});

test("gradients pass in float64, of one weight alone too", () => {
  const { tokens, tokenWeight, positionWeight, first } = problem(CASES[1]![1], "float64");
  const small = [tokenWeight, positionWeight].map((weight) => leaf(weight.narrow(1, 0, 3)));
  expect(gradcheck((a, b) => embed(tokens, a!, b!, first), small)).toEqual([]);
  expect(gradcheck((a) => embed(tokens, a!, small[1]!.detach(), first), [small[0]!])).toEqual([]);
  expect(gradcheck((b) => embed(tokens, small[0]!.detach(), b!, first), [small[1]!])).toEqual([]);
});

test("gradients can be differentiated again", () => {
  const { tokens, tokenWeight, positionWeight, first } = problem(CASES[1]![1], "float64");
  const twice = (of: typeof embed) => {
    const loss = of(tokens, tokenWeight, positionWeight, first).pow(3).sum();
    const weights = [tokenWeight, positionWeight];
    const gradients = torch.autograd.grad([loss], weights, { createGraph: true });
    const next = gradients[0]!.sin().sum().add(gradients[1]!.sin().sum());
    return [...gradients, ...torch.autograd.grad([next], weights)];
  };
  const expected = twice(composed);
  twice(embed).forEach((got, i) => {
    expect(distance(got, expected[i]!)).toBeLessThan(1e-12);
  });
});

test("bfloat16 sums gradients in float32: no less exact than libtorch", () => {
  const p = problem(CASES[3]![1], "bfloat16");
  const exact = {
    ...p,
    tokenWeight: leaf(p.tokenWeight, "float64"),
    positionWeight: leaf(p.positionWeight, "float64"),
  };
  torch.manualSeed(2);
  const expected = derive(exact, composed);
  const ours = derive(p);
  const theirs = derive(p, composed);
  ours.forEach((got, i) => {
    expect(got.dtype).toBe("bfloat16");
    const error = distance(got, expected[i]!);
    expect(error).toBeLessThan(5e-3);
    expect(error).toBeLessThanOrEqual(1.01 * distance(theirs[i]!, expected[i]!));
  });
});

test("one and two threads give the same to the bit", () => {
  const threads = torch.getNumThreads();
  try {
    for (const vocabulary of [3, 20_000]) {
      const p = problem({
        batch: 31,
        length: 67,
        channels: 200,
        vocabulary,
        positions: 90,
        first: 2,
      });
      const [one, two] = [1, 2].map((count) => {
        torch.setNumThreads(count);
        return derive(p);
      });
      one!.forEach((tensor, i) => {
        expect(identical(tensor, two![i]!)).toBe(true);
      });
    }
  } finally {
    torch.setNumThreads(threads);
  }
});

test("weights of two types come as libtorch promotes them", () => {
  const p = problem(CASES[1]![1]);
  const mixed = { ...p, positionWeight: leaf(p.positionWeight, "float64") };
  const got = derive(mixed);
  expect(got.map(({ dtype }) => dtype)).toEqual(["float64", "float32", "float64"]);
});

test("nothing needs to be contiguous", () => {
  const p = problem(CASES[3]![1]);
  const strided = (tensor: Tensor) => tensor.detach().t().contiguous().t();
  const turned = {
    ...p,
    tokens: strided(p.tokens),
    tokenWeight: strided(p.tokenWeight).requiresGrad_(true),
    positionWeight: strided(p.positionWeight).requiresGrad_(true),
  };
  expect(turned.tokens.isContiguous()).toBe(false);
  const expected = derive(p);
  derive(turned).forEach((tensor, i) => {
    expect(identical(tensor, expected[i]!)).toBe(true);
  });
});

test.each([
  [[0, 4], 8],
  [[3, 0], 8],
  [[2, 4], 0],
])("nothing comes of nothing: tokens %o, %i channels", (shape, channels) => {
  const p = {
    tokens: torch.zeros(shape, { dtype: "int64" }),
    tokenWeight: leaf(torch.randn([5, channels])),
    positionWeight: leaf(torch.randn([4, channels])),
    first: 0,
  };
  const [out, dToken, dPosition] = derive(p);
  expect(out!.shape).toEqual([...shape, channels]);
  expect(torch.equal(dToken!, torch.zeros([5, channels]))).toBe(true);
  expect(torch.equal(dPosition!, torch.zeros([4, channels]))).toBe(true);
});

describe("wrong arguments are told", () => {
  const tokens = (...values: number[]) => torch.tensor([values], { dtype: "int64" });
  const weight = torch.randn([5, 8]);
  const positions = torch.randn([4, 8]);
  test.each([
    [
      "a token too large",
      () => embed(tokens(0, 5), weight, positions, 0),
      /tokens must be from 0 to 4, got 5/,
    ],
    [
      "a negative token",
      () => embed(tokens(0, -1), weight, positions, 0),
      /tokens must be from 0 to 4, got -1/,
    ],
    [
      "no vocabulary",
      () => embed(tokens(0), torch.randn([0, 8]), positions, 0),
      /tokens must be from 0 to -1, got 0/,
    ],
    [
      "too many positions",
      () => embed(tokens(0, 1, 2), weight, positions, 2),
      /positions must be from 0 to 3, got 3 from 2 on/,
    ],
    [
      "a negative position",
      () => embed(tokens(0), weight, positions, -1),
      /positions must be from 0 to 3, got 1 from -1 on/,
    ],
    [
      "a huge position",
      () => embed(tokens(0), weight, positions, Number.MAX_SAFE_INTEGER),
      /positions must be from 0 to 3, got 1 from 9007199254740991 on/,
    ],
    [
      "tokens of float32",
      () => embed(torch.ones([1, 2]), weight, positions, 0),
      /tokens must be int64, got Float/,
    ],
    [
      "a row of tokens",
      () => embed(tokens(0).reshape([1]), weight, positions, 0),
      /tokens must have shape \(batch, length\), got \[1\]/,
    ],
    [
      "a weight of integers",
      () => embed(tokens(0), weight.to("int64"), positions, 0),
      /token_weight must be of a floating-point type, got Long/,
    ],
    [
      "a weight of one dimension",
      () => embed(tokens(0), weight, torch.ones([8]), 0),
      /position_weight must have shape \(entries, channels\), got \[8\]/,
    ],
    [
      "other channels",
      () => embed(tokens(0), weight, torch.randn([4, 7]), 0),
      /position_weight must have as many channels as token_weight, 8, got 7/,
    ],
    [
      "another device",
      () => embed(tokens(0), weight.to("meta"), positions, 0),
      /token_weight must be on cpu as tokens is, got meta/,
    ],
  ])("%s", (_, call, message) => {
    expect(call).toThrow(message);
  });
});

test.each(CAPABILITIES)("the same on lesser CPUs: %j", (environment) => {
  const { float32, bfloat16 } = deriveOn(environment, "token_position_embedding");
  expect(float32).toBeLessThan(5e-6);
  // Autocast leaves it in the type of its inputs.
  expect(bfloat16).toBeLessThan(5e-6);
});
