import { describe, expect, test } from "vitest";
import { nn, type Tensor, torch } from "../../lib/index.js";
import { CAPABILITIES, deriveOn } from "./capability.js";
import { type Compute, derive, distance, leaves, lowered } from "./compare.js";
import { gradcheck } from "./gradcheck.js";

const { linear, layerNorm } = nn.functional;
const EPS = 1e-5;
const fused = torch.ops.find("wavegpt::wave_layer") as (
  x: Tensor,
  factor: number,
  normWeight: Tensor,
  normBias: Tensor,
  weight: Tensor,
  bias: Tensor | null,
  eps: number,
) => Tensor;

const run =
  (factor: number, eps = EPS): Compute =>
  (x, normWeight, normBias, weight, bias) =>
    fused(x!, factor, normWeight!, normBias!, weight!, bias ?? null, eps);

const compose =
  (factor: number, eps = EPS): Compute =>
  (x, normWeight, normBias, weight, bias) => {
    const [b, l, c] = x!.shape as [number, number, number];
    const joined = x!.reshape([b, l / factor, c * factor]);
    const normed = layerNorm(joined, [c * factor], { weight: normWeight!, bias: normBias!, eps });
    return linear(normed, weight!, bias ?? null).relu();
  };

type Shape = readonly [shape: readonly [number, number, number], factor: number, out: number];

function problem([shape, factor, out]: Shape, { bias = true, seed = 1 } = {}): (Tensor | null)[] {
  torch.manualSeed(seed);
  const joined = shape[2] * factor;
  const values = (size: readonly number[], scale = 1) =>
    torch.randn([...size], { dtype: "float64" }).mul(scale);
  return leaves(
    [
      values(shape, 2).add(0.5),
      values([joined], 0.2).add(1),
      values([joined], 0.2),
      values([out, joined], joined ** -0.5),
      bias ? values([out], 0.3) : null,
    ],
    "float32",
  );
}

const SHAPES: readonly Shape[] = [
  [[1, 2, 3], 2, 4],
  [[3, 12, 5], 4, 18],
  [[7, 9, 10], 3, 30],
  [[8, 64, 128], 4, 128],
  [[140, 4, 40], 4, 40],
  [[5, 26, 17], 2, 150],
  [[1, 1100, 24], 1, 24],
];

test("gradients pass in float64, with and without bias", () => {
  for (const bias of [true, false]) {
    const inputs = leaves(problem([[2, 6, 3], 2, 5], { bias }), "float64");
    const present = inputs.filter((input) => input !== null);
    expect(gradcheck(run(2), present)).toEqual([]);
  }
});

test.each(SHAPES)(
  "%j by %i to %i is libtorch's in float32 within 3e-6, in float64 within 1e-12",
  (...shape) => {
    for (const bias of [true, false]) {
      for (const [dtype, tolerance] of [
        ["float32", 3e-6],
        ["float64", 1e-12],
      ] as const) {
        const inputs = leaves(problem(shape, { bias }), dtype);
        const expected = derive(compose(shape[1]), inputs);
        for (const [i, tensor] of derive(run(shape[1]), inputs).entries()) {
          expect(tensor.shape).toEqual(expected[i]!.shape);
          expect(tensor.dtype).toBe(dtype);
          expect(distance(tensor, expected[i]!)).toBeLessThan(tolerance);
        }
      }
    }
  },
);

// Which values ReLU lets through is chance where they are near 0: so several draws count.
describe.each(["float32", "bfloat16"] as const)("x of %s under autocast", (dtype) => {
  test.each(SHAPES)(
    "%j by %i to %i in bfloat16 is no further from float64 than 1.1 times libtorch's",
    (...shape) => {
      const ours = Array<number>(6).fill(0);
      const theirs = Array<number>(6).fill(0);
      for (let seed = 0; seed < 8; seed++) {
        torch.tidy(() => {
          const [x, ...parameters] = problem(shape, { seed }) as Tensor[];
          const inputs = [x!.detach().to(dtype).requiresGrad_(true), ...parameters];
          const exact = derive(compose(shape[1]), leaves(inputs, "float64"));
          const add = (squares: number[], got: Tensor[]) => {
            expect(got.map((tensor) => tensor.dtype)).toEqual([
              "bfloat16",
              dtype,
              ...Array(4).fill("float32"),
            ]);
            for (const [i, tensor] of got.entries())
              squares[i]! += distance(tensor, exact[i]!) ** 2;
          };
          add(
            ours,
            lowered(() => derive(run(shape[1]), inputs)),
          );
          add(
            theirs,
            lowered(() => derive(compose(shape[1]), inputs)),
          );
        });
      }
      ours.forEach((square, i) => {
        expect(Math.sqrt(square)).toBeLessThan(1.1 * Math.sqrt(theirs[i]!) + 1e-3);
      });
    },
  );
});

test("gradients that nobody asks for are not made, the others are the same", () => {
  const inputs = problem([[20, 8, 6], 4, 18]) as Tensor[];
  const all = derive(run(4), inputs).slice(1);
  for (let only = 0; only < inputs.length; only++) {
    const alone = inputs.map((input, i) => input.detach().requiresGrad_(i === only));
    const y = run(4)(...alone);
    torch.manualSeed(7);
    const weights = torch.randn(y.shape, { dtype: "float64" }).to("float32");
    const [gradient] = torch.autograd.grad([y], [alone[only]!], { gradOutputs: [weights] });
    expect(torch.equal(gradient!, all[only]!)).toBe(true);
  }
});

test("second derivatives are the composition's", () => {
  const twice = (compute: Compute) => {
    const inputs = leaves(problem([[3, 4, 3], 2, 5]), "float64") as Tensor[];
    const first = torch.autograd.grad(
      [
        compute(...inputs)
          .square()
          .sum(),
      ],
      inputs,
      {
        createGraph: true,
      },
    );
    const sum = first.reduce((total, g) => total.add(g!.square().sum()), torch.zeros([]));
    return torch.autograd.grad([sum], inputs).map((g) => g!);
  };
  const expected = twice(compose(2));
  twice(run(2)).forEach((g, i) => {
    expect(distance(g, expected[i]!)).toBeLessThan(1e-11);
  });
});

test("non-contiguous inputs, without gradients and with few rows too", () => {
  const [x, normWeight, normBias, weight, bias] = problem([[40, 8, 6], 4, 24]) as Tensor[];
  const rest = [normWeight!, normBias!];
  const cases: Tensor[][] = [
    [x!.transpose(0, 1).narrow(1, 0, 36).transpose(0, 1), ...rest, weight!, bias!],
    [x!.transpose(0, 2).contiguous().transpose(0, 2), ...rest, weight!.t().contiguous().t(), bias!],
    [x!.narrow(0, 3, 2), normWeight!.flip([0]), normBias!.flip([0]), weight!, bias!],
  ];
  for (const inputs of cases) {
    const expected = compose(4)(...inputs);
    expect(distance(run(4)(...inputs), expected)).toBeLessThan(3e-6);
    expect(
      distance(
        torch.noGrad(() => run(4)(...inputs)),
        expected,
      ),
    ).toBeLessThan(3e-6);
  }
});

test("rows that are all the same, and other eps", () => {
  const [x, ...parameters] = problem([[9, 8, 6], 4, 18]) as Tensor[];
  const constant = torch.fullLike(x!, 3).requiresGrad_(true);
  const inputs = [constant, ...parameters];
  const expected = derive(compose(4, 1e-2), inputs);
  derive(run(4, 1e-2), inputs).forEach((got, i) => {
    expect(torch.allclose(got, expected[i]!, { rtol: 1e-4, atol: 1e-4 })).toBe(true);
  });
});

test("empty inputs and features that are odd in number", () => {
  const cases: Shape[] = [
    [[0, 4, 3], 2, 4],
    [[2, 0, 3], 2, 4],
    [[2, 4, 3], 2, 0],
    [[20, 6, 3], 3, 4],
    [[20, 6, 4], 3, 5],
  ];
  for (const shape of cases) {
    const inputs = problem(shape);
    const expected = derive(compose(shape[1]), inputs);
    const check = (got: Tensor[], tolerance: number) =>
      got.forEach((tensor, i) => {
        expect(tensor.shape).toEqual(expected[i]!.shape);
        if (tensor.numel() > 0) expect(distance(tensor, expected[i]!)).toBeLessThan(tolerance);
      });
    check(derive(run(shape[1]), inputs), 3e-6);
    check(
      lowered(() => derive(run(shape[1]), inputs)),
      3e-2,
    );
  }
});

test("the same for any number of threads", () => {
  const before = torch.getNumThreads();
  const inputs = problem([[32, 64, 128], 4, 128]);
  const results = [1, 2, 3].map((threads) => {
    torch.setNumThreads(threads);
    return [derive(run(4), inputs), lowered(() => derive(run(4), inputs))].flat();
  });
  torch.setNumThreads(before);
  for (const other of results.slice(1)) {
    other.forEach((got, i) => {
      expect(torch.equal(got, results[0]![i]!)).toBe(true);
    });
  }
});

describe("bad arguments", () => {
  const x = torch.zeros([2, 6, 4]);
  const [norm, weight, bias] = [torch.zeros([12]), torch.zeros([5, 12]), torch.zeros([5])];
  test.each<[message: RegExp, call: () => Tensor]>([
    [/factor must be positive, got 0/, () => fused(x, 0, norm, norm, weight, bias, EPS)],
    [/L a multiple of the factor 4/, () => fused(x, 4, norm, norm, weight, bias, EPS)],
    [/got \[12\]/, () => fused(norm, 3, norm, norm, weight, bias, EPS)],
    [/x must be of a floating/, () => fused(x.long(), 3, norm, norm, weight, bias, EPS)],
    [/norm_weight must have shape \(12\)/, () => fused(x, 3, bias, norm, weight, bias, EPS)],
    [/norm_bias must have shape \(12\)/, () => fused(x, 3, norm, bias, weight, bias, EPS)],
    [/weight must have shape \(out, 12\)/, () => fused(x, 3, norm, norm, weight.t(), bias, EPS)],
    [/bias must have shape \(5\), got \[12\]/, () => fused(x, 3, norm, norm, weight, norm, EPS)],
  ])("%s", (message, call) => {
    expect(call).toThrow(message);
  });
});

test.each(CAPABILITIES)("the same on lesser CPUs: %j", (environment) => {
  const { float32, bfloat16 } = deriveOn(environment, "wave_layer");
  expect(float32).toBeLessThan(2e-6);
  // ReLU's few changes of mind are most of it.
  expect(bfloat16).toBeLessThan(6e-2);
});
