import { describe, expect, test } from "vitest";
import { nn, type Tensor, torch } from "../../lib/index.js";
import { distance } from "./compare.js";
import { gradcheck } from "./gradcheck.js";

const { crossEntropy, linear } = nn.functional;
const fused = torch.ops.find("wavegpt::linear_cross_entropy") as (
  x: Tensor,
  weight: Tensor,
  bias: Tensor | null,
  target: Tensor,
  ignoreIndex?: number,
) => Tensor;

interface Problem {
  readonly x: Tensor;
  readonly weight: Tensor;
  readonly bias: Tensor | null;
  readonly target: Tensor;
}

type Dtype = "float32" | "float64" | "bfloat16";

function problem(
  rows: number,
  channels: number,
  vocabulary: number,
  { dtype = "float32" as Dtype, bias = true, scale = 0.3 } = {},
): Problem {
  torch.manualSeed(rows + vocabulary);
  const weights = dtype === "bfloat16" ? "float32" : dtype;
  const leaf = (tensor: Tensor) => tensor.detach().requiresGrad_(true);
  return {
    x: leaf(torch.randn([rows, channels], { dtype })),
    weight: leaf(torch.randn([vocabulary, channels], { dtype: weights }).mul(scale)),
    bias: bias ? leaf(torch.randn([vocabulary], { dtype: weights })) : null,
    target: torch.randint(vocabulary, [rows]),
  };
}

/** Loss and gradients of x, weight and bias, in that order. */
function derive({ x, weight, bias }: Problem, loss: Tensor): Tensor[] {
  const inputs = [x, weight, ...(bias === null ? [] : [bias])];
  return [loss.detach(), ...torch.autograd.grad([loss], inputs).map((gradient) => gradient!)];
}

const runFused = (p: Problem) => derive(p, fused(p.x, p.weight, p.bias, p.target));
const runComposed = (p: Problem) =>
  derive(p, crossEntropy(linear(p.x, p.weight, p.bias), p.target));

function inDouble({ x, weight, bias, target }: Problem): Problem {
  const double = (tensor: Tensor) => tensor.detach().to("float64").requiresGrad_(true);
  return { x: double(x), weight: double(weight), bias: bias && double(bias), target };
}

type Shape = [rows: number, channels: number, vocabulary: number];

const SHAPES: Shape[] = [
  [1, 2, 1],
  [1, 8, 300],
  [7, 6, 5],
  [31, 17, 65],
  [129, 128, 257],
  [300, 64, 1009],
  [65, 320, 700],
];

test.each(SHAPES)(
  "%i rows of %i channels over %i tokens: gradients pass in float64",
  (...shape) => {
    const [rows, channels, vocabulary] = shape;
    // Differences of every element take too long for the larger: those are compared with the composition.
    const p = problem(rows, channels, vocabulary, { dtype: "float64" });
    for (const [i, got] of runFused(p).entries()) {
      expect(distance(got, runComposed(p)[i]!)).toBeLessThan(1e-13);
    }
    if (rows * channels > 50) return;
    expect(
      gradcheck((x, weight, bias) => fused(x!, weight!, bias!, p.target), [p.x, p.weight, p.bias!]),
    ).toEqual([]);
  },
);

// Sums of 1,009 exponentials in another order: a few units in the last place of a float.
test.each(SHAPES)("%i rows of %i channels over %i tokens: as libtorch in float32", (...shape) => {
  for (const bias of [true, false]) {
    const p = problem(...shape, { bias });
    const expected = runComposed(p);
    for (const [i, got] of runFused(p).entries()) {
      expect(got.dtype).toBe("float32");
      expect(distance(got, expected[i]!)).toBeLessThan(2e-6);
    }
  }
});

test.each<Shape>([
  [7, 6, 5],
  [64, 64, 65],
  [300, 128, 1009],
])(
  "%i rows of %i channels over %i tokens: in bfloat16 no further from float64 than libtorch's own",
  (...shape) => {
    const p = problem(...shape, { dtype: "bfloat16" });
    const exact = runComposed(inDouble(p));
    const ours = runFused(p);
    const theirs = torch.autocast({ deviceType: "cpu", dtype: "bfloat16" }, () => runComposed(p));
    expect(ours.map((tensor) => tensor.dtype)).toEqual([
      "float32",
      "bfloat16",
      "float32",
      "float32",
    ]);
    ours.forEach((got, i) => {
      // Two roundings to 8 bits, of which errors of single runs may add up or cancel.
      const allowed = Math.max(1.25 * distance(theirs[i]!, exact[i]!), i === 0 ? 1e-3 : 4e-3);
      expect(distance(got, exact[i]!)).toBeLessThan(allowed);
    });
  },
);

test("autocast chooses the type of the logits, and gradients keep that of their input", () => {
  const p = problem(33, 64, 100);
  const lowered = torch.autocast({ deviceType: "cpu", dtype: "bfloat16" }, () => runFused(p));
  expect(lowered.map((tensor) => tensor.dtype)).toEqual(Array(4).fill("float32"));
  const whole = runFused(p);
  const apart = distance(lowered[2]!, whole[2]!);
  expect(apart).toBeGreaterThan(1e-4);
  expect(apart).toBeLessThan(2e-2);
});

test("channels that are odd in number fall back to libtorch in bfloat16", () => {
  const p = problem(9, 7, 11, { dtype: "bfloat16" });
  const [loss, ...gradients] = runFused(p);
  const exact = runComposed(inDouble(p));
  expect(distance(loss!, exact[0]!)).toBeLessThan(2e-2);
  gradients.forEach((got, i) => {
    expect(distance(got, exact[i + 1]!)).toBeLessThan(2e-2);
  });
});

test("ignored targets count nowhere", () => {
  const p = problem(40, 16, 70);
  p.target.narrow(0, 5, 20).fill_(-100);
  const expected = runComposed(p);
  runFused(p).forEach((got, i) => {
    expect(distance(got, expected[i]!)).toBeLessThan(2e-6);
  });
  const other = fused(p.x, p.weight, p.bias, p.target.where(p.target.ge(0), 3), 3);
  const theirs = crossEntropy(linear(p.x, p.weight, p.bias), p.target.where(p.target.ge(0), 3), {
    ignoreIndex: 3,
  });
  expect(other.number()).toBeCloseTo(theirs.number(), 5);
});

test("with all targets ignored the loss is NaN and the gradients are zero, as libtorch has it", () => {
  const p = problem(6, 4, 5);
  p.target.fill_(-100);
  const [loss, ...gradients] = runFused(p);
  expect(loss!.number()).toBeNaN();
  expect(runComposed(p)[0]!.number()).toBeNaN();
  for (const gradient of gradients) expect(gradient.abs().max().number()).toBe(0);
});

describe("rows whose logits grow far beyond those of the first tokens", () => {
  // The kernel subtracts the largest logit of the first block of tokens, until a later one is far above it.
  test.each(["float32", "float64"] as const)("keep their digits in %s", (dtype) => {
    const p = problem(200, 8, 900, { dtype });
    torch.noGrad(() => {
      p.bias!.narrow(0, 300, 100).add_(90);
      p.bias!.narrow(0, 700, 100).add_(400);
    });
    const expected = runComposed(p);
    runFused(p).forEach((got, i) => {
      expect(distance(got, expected[i]!)).toBeLessThan(dtype === "float32" ? 1e-4 : 1e-12);
    });
  });

  test("keep their digits in bfloat16", () => {
    const p = problem(200, 8, 900, { dtype: "bfloat16" });
    torch.noGrad(() => p.bias!.narrow(0, 300, 100).add_(200));
    const exact = runComposed(inDouble(p));
    runFused(p).forEach((got, i) => {
      expect(distance(got, exact[i]!)).toBeLessThan(1e-2);
    });
  });
});

test("a logit that is no number makes loss and gradients NaN", () => {
  const p = problem(10, 8, 600);
  torch.noGrad(() => p.weight.narrow(0, 400, 1).fill_(Number.NaN));
  const [loss, dX] = runFused(p);
  expect(loss!.number()).toBeNaN();
  expect(dX!.isnan().all().item()).toBe(true);
});

test("results are the same bits for any number of threads", () => {
  const threads = torch.getNumThreads();
  try {
    for (const dtype of ["float32", "bfloat16"] as const) {
      const p = problem(400, 64, 900, { dtype });
      const [one, two, three] = [1, 2, 3].map((count) => {
        torch.setNumThreads(count);
        return runFused(p);
      });
      one!.forEach((tensor, i) => {
        expect(tensor.equal(two![i]!)).toBe(true);
        expect(tensor.equal(three![i]!)).toBe(true);
      });
    }
  } finally {
    torch.setNumThreads(threads);
  }
});

test("strided inputs, and more dimensions than two", () => {
  torch.manualSeed(3);
  const x = torch.randn([8, 5, 6]).transpose(0, 2).requiresGrad_(true);
  const weight = torch.randn([8, 30]).t().requiresGrad_(true);
  const target = torch.randint(30, [5, 6]).t();
  const p = { x, weight, bias: null, target };
  const composed = derive(p, crossEntropy(linear(x, weight).flatten(0, 1), target.reshape([-1])));
  runFused(p).forEach((got, i) => {
    expect(got.shape).toEqual(composed[i]!.shape);
    expect(distance(got, composed[i]!)).toBeLessThan(2e-6);
  });
});

test("what is not differentiated is left alone", () => {
  const p = problem(12, 8, 20);
  const loss = fused(p.x.detach(), p.weight, null, p.target);
  expect(() => torch.autograd.grad([loss], [p.x], { allowUnused: false })).toThrow();
  const frozen = fused(p.x, p.weight.detach(), p.bias!.detach(), p.target);
  const [dX] = torch.autograd.grad([frozen], [p.x]);
  expect(distance(dX!, runComposed(p)[1]!)).toBeLessThan(2e-6);
  expect(torch.noGrad(() => fused(p.x, p.weight, p.bias, p.target)).requiresGrad).toBe(false);
});

test("a scaled loss, a graph kept for another pass, and gradients that add up", () => {
  const p = problem(50, 16, 70);
  const expected = runComposed(p);
  const loss = fused(p.x, p.weight, p.bias, p.target);
  loss.mul(3).backward(undefined, { retainGraph: true });
  expect(distance(p.weight.grad!, expected[2]!.mul(3))).toBeLessThan(2e-6);
  loss.backward(undefined, { retainGraph: true });
  loss.backward();
  for (const [i, leaf] of [p.x, p.weight, p.bias!].entries()) {
    expect(distance(leaf.grad!, expected[i + 1]!.mul(5))).toBeLessThan(2e-6);
  }
});

test("second derivatives are those of the composition", () => {
  const second = (loss: (p: Problem) => Tensor) => {
    const p = problem(6, 4, 9, { dtype: "float64" });
    const [dX, dWeight] = torch.autograd.grad([loss(p)], [p.x, p.weight], { createGraph: true });
    return torch.autograd.grad([dX!.pow(2).sum().add(dWeight!.pow(2).sum())], [p.x, p.weight]);
  };
  const ours = second((p) => fused(p.x, p.weight, p.bias, p.target));
  const theirs = second((p) => crossEntropy(linear(p.x, p.weight, p.bias), p.target));
  ours.forEach((got, i) => {
    expect(distance(got!, theirs[i]!)).toBeLessThan(1e-12);
  });
});

test("no rows: NaN, as the mean of nothing", () => {
  const loss = fused(
    torch.randn([0, 4]),
    torch.randn([5, 4]),
    null,
    torch.zeros([0], { dtype: "int64" }),
  );
  expect(loss.number()).toBeNaN();
});

test.each([
  ["x must be of a floating-point type", [[2, 4], [5, 4], [5], [2]], { x: "int64" }],
  [
    "x must have shape \\(..., 4\\) as weight has shape \\[5, 4\\], got \\[2, 3\\]",
    [[2, 3], [5, 4], [5], [2]],
    {},
  ],
  ["weight must have shape \\(vocabulary, channels\\), got \\[4\\]", [[2, 4], [4], [5], [2]], {}],
  ["bias must have shape \\(5\\), got \\[4\\]", [[2, 4], [5, 4], [4], [2]], {}],
  [
    "target must have the shape of x but for the channels, \\[2\\], got \\[3\\]",
    [[2, 4], [5, 4], [5], [3]],
    {},
  ],
  ["target must be int64", [[2, 4], [5, 4], [5], [2]], { target: "int32" }],
] as const)("bad arguments: %s", (message, [x, weight, bias, target], dtypes) => {
  const types = { x: "float32", target: "int64", ...dtypes } as const;
  const zeros = (shape: readonly number[], dtype: "float32" | "int64" | "int32") =>
    torch.zeros([...shape], { dtype });
  expect(() =>
    fused(
      zeros(x, types.x),
      zeros(weight, "float32"),
      zeros(bias, "float32"),
      zeros(target, types.target),
    ),
  ).toThrow(new RegExp(message));
});

test.each([5, -1, -101])("a target out of range, %i, is named", (bad) => {
  const p = problem(4, 4, 5);
  p.target.narrow(0, 2, 1).fill_(bad);
  expect(() => fused(p.x, p.weight, p.bias, p.target)).toThrow(
    `targets must be from 0 to 4 or -100, got ${bad}`,
  );
});
