import { describe, expect, test } from "vitest";
import { nn, type Tensor, torch } from "../../lib/index.js";
import { CAPABILITIES, deriveOn } from "./capability.js";
import { type Compute, derive, distance, leaves, lowered } from "./compare.js";
import { gradcheck } from "./gradcheck.js";

const { linear, gelu } = nn.functional;
const fused = torch.ops.find("wavegpt::mlp") as (
  x: Tensor,
  w1: Tensor,
  b1: Tensor | null,
  w2: Tensor,
  b2: Tensor | null,
) => Tensor;

const run: Compute = (x, w1, b1, w2, b2) => fused(x!, w1!, b1 ?? null, w2!, b2 ?? null);
const compose: Compute = (x, w1, b1, w2, b2) =>
  linear(gelu(linear(x!, w1!, b1 ?? null)), w2!, b2 ?? null);

type Shape = readonly [shape: readonly number[], hidden: number, out: number];

function problem([shape, hidden, out]: Shape, biases = [true, true]): (Tensor | null)[] {
  torch.manualSeed(hidden);
  const features = shape.at(-1)!;
  const values = (size: readonly number[], scale = 1) =>
    torch.randn([...size], { dtype: "float64" }).mul(scale);
  return leaves(
    [
      values(shape),
      values([hidden, features], features ** -0.5),
      biases[0] ? values([hidden]) : null,
      values([out, hidden], hidden ** -0.5),
      biases[1] ? values([out]) : null,
    ],
    "float32",
  );
}

const SHAPES: readonly Shape[] = [
  [[1, 4], 6, 2],
  [[67, 10], 34, 12],
  [[2, 3, 5, 8], 130, 8],
  [[513, 128], 512, 128],
  [[65, 150], 66, 300],
  [[70, 64], 600, 64],
];

test("gradients pass in float64, with and without biases", () => {
  for (const biases of [
    [true, true],
    [false, true],
    [true, false],
    [false, false],
  ]) {
    const inputs = leaves(problem([[2, 3, 3], 5, 4], biases), "float64");
    const present = inputs.filter((input) => input !== null);
    const compute = (...given: Tensor[]) => {
      const rest = [...given];
      return run(...inputs.map((input) => (input === null ? null : rest.shift()!)));
    };
    expect(gradcheck(compute, present)).toEqual([]);
  }
});

test.each(SHAPES)(
  "%j by %i to %i is libtorch's in float32 within 3e-6, in float64 within 1e-13",
  (...shape) => {
    for (const biases of [
      [true, true],
      [false, false],
    ]) {
      for (const [dtype, tolerance] of [
        ["float32", 3e-6],
        ["float64", 1e-13],
      ] as const) {
        const inputs = leaves(problem(shape, biases), dtype);
        const expected = derive(compose, inputs);
        for (const [i, tensor] of derive(run, inputs).entries()) {
          expect(tensor.shape).toEqual(expected[i]!.shape);
          expect(tensor.dtype).toBe(dtype);
          expect(distance(tensor, expected[i]!)).toBeLessThan(tolerance);
        }
      }
    }
  },
);

test.each(SHAPES)(
  "%j by %i to %i in bfloat16 is no further from float64 than 1.1 times libtorch's",
  (...shape) => {
    const inputs = problem(shape);
    const exact = derive(compose, leaves(inputs, "float64"));
    const theirs = lowered(() => derive(compose, inputs));
    const ours = lowered(() => derive(run, inputs));
    expect(ours.map((tensor) => tensor.dtype)).toEqual(["bfloat16", ...Array(5).fill("float32")]);
    ours.forEach((tensor, i) => {
      // Errors of a few numbers may cancel in the one and add up in the other.
      const allowed = Math.max(1.1 * distance(theirs[i]!, exact[i]!), 4e-3);
      expect(distance(tensor, exact[i]!)).toBeLessThan(allowed);
    });
  },
);

test("a gradient of x in bfloat16 where x is, and none where none is asked for", () => {
  const inputs = problem([[70, 12], 18, 10]) as Tensor[];
  const half = [inputs[0]!.detach().to("bfloat16").requiresGrad_(true), ...inputs.slice(1)];
  expect(lowered(() => derive(run, half))[1]!.dtype).toBe("bfloat16");
  const all = derive(run, inputs).slice(1);
  for (let only = 0; only < inputs.length; only++) {
    const alone = inputs.map((input, i) => input.detach().requiresGrad_(i === only));
    const y = run(...alone);
    torch.manualSeed(7);
    const weights = torch.randn(y.shape, { dtype: "float64" }).to("float32");
    const [gradient] = torch.autograd.grad([y], [alone[only]!], { gradOutputs: [weights] });
    expect(torch.equal(gradient!, all[only]!)).toBe(true);
  }
});

test("second derivatives are the composition's", () => {
  const twice = (compute: Compute) => {
    const inputs = leaves(problem([[5, 4], 6, 3]), "float64") as Tensor[];
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
  const expected = twice(compose);
  twice(run).forEach((g, i) => {
    expect(distance(g, expected[i]!)).toBeLessThan(1e-12);
  });
});

test("non-contiguous inputs, without gradients and with few rows too", () => {
  const [x, w1, b1, w2, b2] = problem([[40, 24], 40, 24]) as Tensor[];
  const cases: Tensor[][] = [
    [w2!.t(), w1!, b1!, w1!.t(), b2!.flip([0])],
    [x!.narrow(0, 3, 2), w1!, b1!, w2!, b2!],
    [x!.narrow(1, 0, 12), w1!.narrow(1, 12, 12), b1!, w2!, b2!],
  ];
  for (const inputs of cases) {
    const expected = compose(...inputs);
    expect(distance(run(...inputs), expected)).toBeLessThan(3e-6);
    expect(
      distance(
        torch.noGrad(() => run(...inputs)),
        expected,
      ),
    ).toBeLessThan(3e-6);
  }
});

test("empty inputs and features that are odd in number", () => {
  const cases: Shape[] = [
    [[0, 4], 6, 2],
    [[3, 0], 6, 2],
    [[3, 4], 0, 2],
    [[3, 4], 6, 0],
    [[40, 7], 6, 4],
    [[40, 6], 7, 4],
    [[40, 6], 4, 7],
  ];
  for (const shape of cases) {
    const inputs = problem(shape);
    const expected = derive(compose, inputs);
    const check = (got: Tensor[], tolerance: number) =>
      got.forEach((tensor, i) => {
        expect(tensor.shape).toEqual(expected[i]!.shape);
        if (tensor.numel() > 0) expect(distance(tensor, expected[i]!)).toBeLessThan(tolerance);
      });
    check(derive(run, inputs), 3e-6);
    check(
      lowered(() => derive(run, inputs)),
      2e-2,
    );
  }
});

test("the same for any number of threads", () => {
  const before = torch.getNumThreads();
  const inputs = problem([[700, 128], 512, 128]);
  const results = [1, 2, 3].map((threads) => {
    torch.setNumThreads(threads);
    return [derive(run, inputs), lowered(() => derive(run, inputs))].flat();
  });
  torch.setNumThreads(before);
  for (const other of results.slice(1)) {
    other.forEach((got, i) => {
      expect(torch.equal(got, results[0]![i]!)).toBe(true);
    });
  }
});

describe("bad arguments", () => {
  const [x, w1, b1] = [torch.zeros([3, 4]), torch.zeros([6, 4]), torch.zeros([6])];
  const [w2, b2] = [torch.zeros([2, 6]), torch.zeros([2])];
  test.each<[message: RegExp, call: () => Tensor]>([
    [/x must be of a floating-point type, got Long/, () => fused(x.long(), w1, b1, w2, b2)],
    [/w1 must have shape \(out, 4\).*got \[2, 6\]/, () => fused(x, w2, b1, w2, b2)],
    [/b1 must have shape \(6\), got \[2\]/, () => fused(x, w1, b2, w2, b2)],
    [/w2 must have shape \(out, 6\).*got \[6, 4\]/, () => fused(x, w1, b1, w1, b2)],
    [/b2 must have shape \(2\), got \[6\]/, () => fused(x, w1, b1, w2, b1)],
    [/w2 must be on the device of x, cpu/, () => fused(x, w1, b1, w2.to("meta"), b2)],
  ])("%s", (message, call) => {
    expect(call).toThrow(message);
  });
});

test.each(CAPABILITIES)("the same on lesser CPUs: %j", (environment) => {
  const { float32, bfloat16 } = deriveOn(environment, "mlp");
  expect(float32).toBeLessThan(2e-6);
  expect(bfloat16).toBeLessThan(1e-2);
});
