import { describe, expect, test } from "vitest";
import { nn, type Tensor, torch } from "../../lib/index.js";
import { CAPABILITIES, deriveOn } from "./capability.js";
import { type Compute, derive, distance, leaves, lowered } from "./compare.js";
import { gradcheck } from "./gradcheck.js";

const fused = torch.ops.find("wavegpt::linear") as (
  x: Tensor,
  weight: Tensor,
  bias: Tensor | null,
  activation?: string,
) => Tensor;

type Activation = "none" | "gelu" | "relu";
const ACTIVATIONS: readonly Activation[] = ["none", "gelu", "relu"];

const run =
  (activation: Activation): Compute =>
  (x, weight, bias) =>
    fused(x!, weight!, bias ?? null, activation);

const compose =
  (activation: Activation): Compute =>
  (x, weight, bias) => {
    const y = nn.functional.linear(x!, weight!, bias ?? null);
    return activation === "none" ? y : activation === "gelu" ? nn.functional.gelu(y) : y.relu();
  };

function problem(shape: readonly number[], out: number, { bias = true } = {}): (Tensor | null)[] {
  torch.manualSeed(out + shape.length);
  const features = shape.at(-1)!;
  const values = (size: readonly number[], scale = 1) =>
    torch.randn([...size], { dtype: "float64" }).mul(scale);
  return leaves(
    [values(shape), values([out, features], features ** -0.5), bias ? values([out]) : null],
    "float32",
  );
}

const SHAPES: readonly [shape: readonly number[], out: number][] = [
  [[1, 4], 6],
  [[16, 2], 2],
  [[67, 10], 34],
  [[2, 3, 5, 8], 130],
  [[513, 128], 384],
  [[130, 600], 150],
  [[1100, 64], 48],
];

describe.each(ACTIVATIONS)("activation %s", (activation) => {
  test("gradients pass in float64, with and without bias", () => {
    for (const bias of [true, false]) {
      const inputs = leaves(problem([2, 9, 3], 5, { bias }), "float64").filter((t) => t !== null);
      expect(gradcheck(run(activation), inputs)).toEqual([]);
    }
  });

  // Sums in another order, and GELU within 1e-6.
  test.each(SHAPES)(
    "%j to %i is libtorch's in float32 within 3e-6, in float64 within 1e-13",
    (shape, out) => {
      for (const bias of [true, false]) {
        for (const [dtype, tolerance] of [
          ["float32", 3e-6],
          ["float64", 1e-13],
        ] as const) {
          const inputs = leaves(problem(shape, out, { bias }), dtype);
          const expected = derive(compose(activation), inputs);
          const got = derive(run(activation), inputs);
          expect(got[0]!.shape).toEqual([...shape.slice(0, -1), out]);
          for (const [i, tensor] of got.entries()) {
            expect(tensor.dtype).toBe(dtype);
            expect(distance(tensor, expected[i]!)).toBeLessThan(tolerance);
          }
        }
      }
    },
  );

  test.each(SHAPES)(
    "%j to %i in bfloat16 is no further from float64 than 1.1 times libtorch's",
    (shape, out) => {
      const inputs = problem(shape, out);
      const exact = derive(compose(activation), leaves(inputs, "float64"));
      const theirs = lowered(() => derive(compose(activation), inputs));
      const ours = lowered(() => derive(run(activation), inputs));
      expect(ours.map((tensor) => tensor.dtype)).toEqual([
        "bfloat16",
        "float32",
        "float32",
        "float32",
      ]);
      ours.forEach((tensor, i) => {
        expect(distance(tensor, exact[i]!)).toBeLessThan(
          Math.max(1.1 * distance(theirs[i]!, exact[i]!), 4e-3),
        );
      });
    },
  );

  test("second derivatives are the composition's", () => {
    const twice = (compute: Compute) => {
      const inputs = leaves(problem([5, 4], 6), "float64") as Tensor[];
      const y = compute(...inputs);
      const first = torch.autograd.grad([y.square().sum()], inputs, { createGraph: true });
      const sum = first.reduce((total, g) => total.add(g!.square().sum()), torch.zeros([]));
      return torch.autograd.grad([sum], inputs).map((g) => g!);
    };
    const expected = twice(compose(activation));
    twice(run(activation)).forEach((g, i) => {
      expect(distance(g, expected[i]!)).toBeLessThan(1e-12);
    });
  });
});

test("GELU is erf's within 1e-6 in float32, and within bfloat16's rounding in bfloat16", () => {
  const count = 4096;
  const x = torch.linspace(-9, 9, count, { dtype: "float64" }).reshape([count, 1]);
  const exact = nn.functional.gelu(x);
  const one = torch.ones([1, 1]);
  const got = torch.noGrad(() => fused(x.to("float32"), one, null, "gelu"));
  expect(got.to("float64").sub(exact).abs().max().number()).toBeLessThan(1e-6);

  // Products of bfloat16 take pairs of features: the second is zero.
  const rounded = x.to("bfloat16");
  const pairs = torch.cat([rounded, torch.zerosLike(rounded)], 1);
  const weight = torch.eye(2, { dtype: "bfloat16" });
  const y = torch
    .noGrad(() => fused(pairs, weight, null, "gelu"))
    .select(1, 0)
    .to("float64");
  // By erfc: erf is -1 before GELU is 0.
  const before = rounded.to("float64").select(1, 0);
  const wanted = before.mul(before.mul(-Math.SQRT1_2).erfc()).mul(0.5);
  // Half a unit in the last of 8 bits is 2^-8 at worst, and 2.5e-4 comes from the approximation.
  const relative = y.sub(wanted).abs().div(wanted.abs()).max().number();
  expect(relative).toBeLessThan(2 ** -8 + 2.5e-4);
});

test("extreme inputs give what libtorch gives", () => {
  const x = torch.tensor([
    [0, -0, 1e30, -1e30, 1e-30, -50, 50, Number.POSITIVE_INFINITY, Number.NaN],
  ]);
  const column = x.reshape([9, 1]).expand([9, 16]).reshape([144, 1]);
  const one = torch.ones([1, 1]);
  for (const activation of ACTIVATIONS) {
    const got = fused(column, one, null, activation);
    const expected = compose(activation)(column, one, null);
    expect(torch.allclose(got, expected, 1e-6, 1e-30, { equalNan: true })).toBe(true);
  }
});

test("non-contiguous inputs and gradients", () => {
  const [x, weight, bias] = problem([34, 20], 20) as [Tensor, Tensor, Tensor];
  const strided: Compute = (a, w, b) => run("gelu")(a!.t(), w!.t(), b!.flip([0]));
  const dense: Compute = (a, w, b) =>
    compose("gelu")(a!.t().contiguous(), w!.t().contiguous(), b!.flip([0]));
  const square = leaves([x.narrow(0, 0, 20), weight, bias]);
  const expected = derive(dense, square);
  derive(strided, square).forEach((got, i) => {
    expect(distance(got, expected[i]!)).toBeLessThan(3e-6);
  });
  // The gradient of a sum is one number, expanded.
  const [got] = torch.autograd.grad([run("gelu")(x, weight, bias).sum()], [x]);
  const [wanted] = torch.autograd.grad([compose("gelu")(x, weight, bias).sum()], [x]);
  expect(distance(got!, wanted!)).toBeLessThan(3e-6);
});

test("empty inputs, few rows and features that are odd in number", () => {
  const cases: [readonly number[], number][] = [
    [[0, 4], 6],
    [[3, 0], 6],
    [[3, 4], 0],
    [[1, 4], 6],
    [[40, 7], 6],
    [[40, 6], 7],
  ];
  for (const [shape, out] of cases) {
    const inputs = problem(shape, out);
    const expected = derive(compose("gelu"), inputs);
    derive(run("gelu"), inputs).forEach((got, i) => {
      expect(got.shape).toEqual(expected[i]!.shape);
      if (got.numel() > 0) expect(distance(got, expected[i]!)).toBeLessThan(3e-6);
    });
    const half = lowered(() => derive(run("gelu"), inputs));
    half.forEach((got, i) => {
      if (got.numel() > 0) expect(distance(got, expected[i]!)).toBeLessThan(2e-2);
    });
  }
});

test("gradients that nobody asks for are not made, the others are the same", () => {
  const inputs = problem([70, 12], 18) as Tensor[];
  const all = derive(run("gelu"), inputs).slice(1);
  for (let only = 0; only < 3; only++) {
    const alone = inputs.map((input, i) => input.detach().requiresGrad_(i === only));
    const y = run("gelu")(...alone);
    torch.manualSeed(7);
    const weights = torch.randn(y.shape, { dtype: "float64" }).to("float32");
    const [gradient] = torch.autograd.grad([y], [alone[only]!], { gradOutputs: [weights] });
    expect(torch.equal(gradient!, all[only]!)).toBe(true);
  }
});

test("a bfloat16 model: parameters' gradients are bfloat16", () => {
  const inputs = (problem([70, 12], 18) as Tensor[]).map((input) =>
    input.detach().to("bfloat16").requiresGrad_(true),
  );
  const exact = derive(compose("gelu"), leaves(inputs, "float64"));
  derive(run("gelu"), inputs).forEach((got, i) => {
    expect(got.dtype).toBe("bfloat16");
    expect(distance(got, exact[i]!)).toBeLessThan(1e-2);
  });
});

test("the same for any number of threads", () => {
  const before = torch.getNumThreads();
  const inputs = problem([700, 128], 512);
  const results = [1, 2, 3].map((threads) => {
    torch.setNumThreads(threads);
    return [derive(run("gelu"), inputs), lowered(() => derive(run("gelu"), inputs))].flat();
  });
  torch.setNumThreads(before);
  for (const other of results.slice(1)) {
    other.forEach((got, i) => {
      expect(torch.equal(got, results[0]![i]!)).toBe(true);
    });
  }
});

test("vmap and meta tensors take the composition", () => {
  const [x, weight, bias] = problem([4, 6], 8) as [Tensor, Tensor, Tensor];
  const y = fused(x.to("meta"), weight.to("meta"), bias.to("meta"), "gelu");
  expect(y.shape).toEqual([4, 8]);
});

describe("bad arguments", () => {
  const [x, weight, bias] = [torch.zeros([3, 4]), torch.zeros([5, 4]), torch.zeros([5])];
  test.each<[message: RegExp, call: () => Tensor]>([
    [/activation must be none, gelu or relu, got tanh/, () => fused(x, weight, bias, "tanh")],
    [/x must have at least one dimension/, () => fused(torch.zeros([]), weight, bias)],
    [/x must be of a floating-point type, got Long/, () => fused(x.long(), weight, bias)],
    [/weight must have shape \(out, 4\).*got \[4, 5\]/, () => fused(x, weight.t(), bias)],
    [/weight must be of a floating-point type, got Int/, () => fused(x, weight.int(), bias)],
    [/bias must have shape \(5\), got \[1\]/, () => fused(x, weight, torch.zeros([1]))],
    [
      /bias must be on the device of x, cpu, got one on meta/,
      () => fused(x, weight, bias.to("meta")),
    ],
    [/same dtype/, () => fused(x, weight.to("float64"), bias.to("float64"))],
  ])("%s", (message, call) => {
    expect(call).toThrow(message);
  });
});

test.each(CAPABILITIES)("the same on lesser CPUs: %j", (environment) => {
  const { float32, bfloat16 } = deriveOn(environment, "linear");
  expect(float32).toBeLessThan(2e-6);
  expect(bfloat16).toBeLessThan(1e-2);
});
