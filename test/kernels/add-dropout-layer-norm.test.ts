import { describe, expect, test } from "vitest";
import { type DType, nn, type Tensor, torch } from "../../lib/index.js";
import { CAPABILITIES, deriveOn } from "./capability.js";
import { distance, identical, leaf } from "./compare.js";
import { gradcheck } from "./gradcheck.js";

const addDropoutLayerNorm = torch.ops.find("wavegpt::add_dropout_layer_norm.default") as (
  residual: Tensor,
  x: Tensor,
  weight: Tensor | null,
  bias: Tensor | null,
  eps: number,
  p: number,
  train: boolean,
) => [sum: Tensor, normed: Tensor];
const layerNorm = torch.ops.find("wavegpt::layer_norm.default") as (
  x: Tensor,
  weight?: Tensor | null,
  bias?: Tensor | null,
  eps?: number,
) => Tensor;
const addDropout = torch.ops.find("wavegpt::add_dropout.default") as (
  residual: Tensor,
  x: Tensor,
  p: number,
  train: boolean,
) => Tensor;
const dropout = torch.ops.find("wavegpt::dropout.default") as (
  x: Tensor,
  p: number,
  train: boolean,
) => Tensor;

const EPS = 1e-5;
const P = 0.3;
const SEED = 11;

/** The same elements dropped each time. */
const seeded = (residual: Tensor, x: Tensor, weight: Tensor | null, bias: Tensor | null) => {
  torch.manualSeed(SEED);
  return addDropoutLayerNorm(residual, x, weight, bias, EPS, P, true);
};

/** What the operator multiplies x by after `torch.manualSeed(SEED)`. */
function multipliers(shape: readonly number[], dtype: DType): Tensor {
  torch.manualSeed(SEED);
  return dropout(torch.ones(shape, { dtype }), P, true);
}

/** libtorch's operators for the same, the same elements dropped. */
function composed(residual: Tensor, x: Tensor, weight: Tensor | null, bias: Tensor | null) {
  const sum = residual.add(x.mul(multipliers(x.shape, x.dtype)));
  const normed = nn.functional.layerNorm(sum, [sum.shape.at(-1)!], {
    weight: weight,
    bias: bias,
    eps: EPS,
  });
  return [sum, normed] as [Tensor, Tensor];
}

interface Problem {
  readonly residual: Tensor;
  readonly x: Tensor;
  readonly weight: Tensor;
  readonly bias: Tensor;
}

function problem(shape: readonly number[], dtype: DType, parameters: DType = dtype): Problem {
  torch.manualSeed(shape.reduce((a, b) => a * 31 + b, 1));
  const channels = shape.at(-1)!;
  return {
    residual: leaf(torch.randn(shape), dtype),
    x: leaf(torch.randn(shape), dtype),
    weight: leaf(torch.randn([channels]).add(1), parameters),
    bias: leaf(torch.randn([channels]), parameters),
  };
}

const inputsOf = ({ residual, x, weight, bias }: Problem) =>
  [residual, x, weight, bias] as [Tensor, Tensor, Tensor, Tensor];

/** Both outputs and the gradients of all inputs, for gradients of the outputs that are all different. */
function derive(p: Problem, outputs: readonly Tensor[]): Tensor[] {
  torch.manualSeed(3);
  const gradients = outputs.map((output) => torch.randn(output.shape).to(output.dtype));
  return [
    ...outputs.map((output) => output.detach()),
    ...torch.autograd.grad(outputs, inputsOf(p), { gradOutputs: gradients }),
  ];
}

const NAMES = ["sum", "normed", "residual", "x", "weight", "bias"];

/** Of each output and gradient, by name. */
function distances(got: readonly Tensor[], expected: readonly Tensor[]): Record<string, number> {
  return Object.fromEntries(NAMES.map((name, i) => [name, distance(got[i]!, expected[i]!)]));
}

const SHAPES = [
  [1, 1, 5],
  [3, 1],
  [2, 3, 7],
  [5, 31],
  [4, 1, 33],
  [3, 128],
  [2, 257],
  [37, 128],
  [1, 5003],
  [101, 96],
];

describe("gradients in float64", () => {
  test.each([[[2, 3, 5]], [[1, 1]], [[4, 17]], [[3, 128]]])("pass for %o", (shape) => {
    const p = problem(shape, "float64");
    expect(gradcheck(seeded as never, inputsOf(p))).toEqual([]);
    expect(gradcheck((x, w, b) => layerNorm(x!, w, b, EPS), [p.x, p.weight, p.bias])).toEqual([]);
  });

  test("pass without weight and bias, and with one of them", () => {
    const { residual, x, weight, bias } = problem([3, 9], "float64");
    expect(gradcheck((r, a) => seeded(r!, a!, null, null), [residual, x])).toEqual([]);
    expect(gradcheck((r, w) => seeded(r!, x.detach(), w!, null), [residual, weight])).toEqual([]);
    expect(gradcheck((a, b) => seeded(residual.detach(), a!, null, b!), [x, bias])).toEqual([]);
    expect(gradcheck((b) => layerNorm(x.detach(), null, b!), [bias])).toEqual([]);
  });

  test("pass where only one output is used", () => {
    const p = problem([3, 6], "float64");
    expect(gradcheck((...inputs) => seeded(...(inputs as Inputs))[0], inputsOf(p))).toEqual([]);
    expect(gradcheck((...inputs) => seeded(...(inputs as Inputs))[1], inputsOf(p))).toEqual([]);
  });

  test("can be differentiated again where one norm's input was made with the other's weight", () => {
    const { x, weight, bias } = problem([3, 5], "float64");
    const twice = (norm: typeof layerNorm) => {
      const loss = norm(norm(x, weight, bias).sin(), weight, bias)
        .pow(3)
        .sum();
      const gradients = torch.autograd.grad([loss], [x, weight, bias], { createGraph: true });
      const next = gradients.map((gradient) => gradient.sin().sum()).reduce((a, b) => a.add(b));
      return [...gradients, ...torch.autograd.grad([next], [x, weight, bias])];
    };
    const expected = twice((a, w = null, b = null) =>
      nn.functional.layerNorm(a, [5], { weight: w, bias: b, eps: EPS }),
    );
    twice(layerNorm).forEach((got, i) => {
      expect(distance(got, expected[i]!)).toBeLessThan(1e-6);
    });
  });

  test("can be differentiated again", () => {
    const p = problem([2, 5], "float64");
    const gradients = (of: typeof seeded) => (r: Tensor, x: Tensor, w: Tensor, b: Tensor) => {
      const [sum, normed] = of(r, x, w, b);
      const loss = sum.square().sum().add(normed.pow(3).sum());
      return torch.autograd.grad(
        [loss],
        [r, x, w, b].filter((input) => input.requiresGrad),
        {
          createGraph: true,
        },
      );
    };
    // Numeric differences detach the inputs: compared with libtorch's second derivatives instead.
    const twice = (of: typeof seeded) => {
      const first = gradients(of)(...inputsOf(p));
      const loss = first.reduce((sum, g) => sum.add(g.sin().sum()), torch.zeros([]).double());
      return [...first, ...torch.autograd.grad([loss], inputsOf(p))];
    };
    const expected = twice(composed as typeof seeded);
    twice(seeded).forEach((got, i) => {
      expect(distance(got, expected[i]!)).toBeLessThan(1e-6);
    });
    const once = (of: (x: Tensor, w: Tensor, b: Tensor) => Tensor) => {
      const loss = of(p.x, p.weight, p.bias).pow(3).sum();
      const [dx] = torch.autograd.grad([loss], [p.x], { createGraph: true });
      return torch.autograd.grad([dx!.sin().sum()], [p.x, p.weight, p.bias]);
    };
    const wanted = once((x, w, b) =>
      nn.functional.layerNorm(x, [5], { weight: w, bias: b, eps: EPS }),
    );
    once((x, w, b) => layerNorm(x, w, b, EPS)).forEach((got, i) => {
      expect(distance(got, wanted[i]!)).toBeLessThan(1e-6);
    });
  });
});

type Inputs = [Tensor, Tensor, Tensor, Tensor];

test.each(SHAPES.map((shape) => [shape]))("%o is as libtorch's operators have it", (shape) => {
  for (const [dtype, tolerance] of [
    ["float32", 2e-6],
    ["float64", 1e-7],
  ] as const) {
    const p = problem(shape, dtype);
    const got = derive(p, seeded(...inputsOf(p)));
    const expected = derive(p, composed(...inputsOf(p)));
    // A row of one element is its own mean: nothing but the bias and rounding is left of it.
    if (shape.at(-1) === 1) {
      expect(torch.allclose(got[1]!, p.bias.detach().expand(shape))).toBe(true);
      expect(distance(got[0]!, expected[0]!)).toBeLessThan(tolerance);
      continue;
    }
    for (const [name, value] of Object.entries(distances(got, expected))) {
      expect(value, `${dtype} ${name}`).toBeLessThan(tolerance);
    }
    expect(got.map((tensor) => tensor.dtype)).toEqual(got.map(() => dtype));
  }
});

test("layer norm alone is as libtorch has it", () => {
  for (const shape of SHAPES.filter((sizes) => sizes.at(-1) !== 1)) {
    const { x, weight, bias } = problem(shape, "float32");
    const run = (y: Tensor) => [
      y.detach(),
      ...torch.autograd.grad([y.sin().sum()], [x, weight, bias]),
    ];
    const expected = run(nn.functional.layerNorm(x, [shape.at(-1)!], { weight, bias, eps: EPS }));
    run(layerNorm(x, weight, bias, EPS)).forEach((got, i) => {
      expect(distance(got, expected[i]!), `${shape}`).toBeLessThan(2e-6);
    });
  }
});

describe("bfloat16", () => {
  const exact = (p: Problem) => {
    const double = Object.fromEntries(
      Object.entries(p).map(([name, tensor]) => [name, leaf(tensor, "float64")]),
    ) as unknown as Problem;
    return derive(double, composed(...inputsOf(double)));
  };

  test.each([[[37, 128]], [[6, 33]], [[3, 700]]])("%o: no less exact than libtorch's", (shape) => {
    const p = problem(shape, "bfloat16");
    const expected = exact(p);
    const ours = distances(derive(p, seeded(...inputsOf(p))), expected);
    const theirs = distances(derive(p, composed(...inputsOf(p))), expected);
    for (const name of NAMES) expect(ours[name]!, name).toBeLessThan(1.05 * theirs[name]!);
  });

  test("under autocast the sum stays float32, and what is normalised is bfloat16", () => {
    const p = problem([37, 128], "float32");
    const x = leaf(p.x, "bfloat16");
    const mixed = { ...p, x };
    const run = (of: typeof seeded) =>
      torch.autocast({ deviceType: "cpu", dtype: "bfloat16" }, () => of(...inputsOf(mixed)));
    const [sum, normed] = run(seeded);
    expect([sum.dtype, normed.dtype]).toEqual(["float32", "bfloat16"]);
    const got = derive(mixed, [sum, normed]);
    expect(got.slice(2).map(({ dtype }) => dtype)).toEqual([
      "float32",
      "bfloat16",
      "float32",
      "float32",
    ]);
    const expected = exact(mixed);
    const theirs = distances(
      derive(mixed, [run(composed)[0], run(composed)[1].to("bfloat16")]),
      expected,
    );
    for (const [name, value] of Object.entries(distances(got, expected))) {
      // libtorch's bfloat16 mask rounds the scale of what is kept.
      expect(value, name).toBeLessThan(Math.max(1.05 * theirs[name]!, 1e-6));
    }
    expect(run((r, _x, w, b) => [r, layerNorm(r, w, b)])[1].dtype).toBe("bfloat16");
  });

  test("x of another type than the residual gets its gradient in its own", () => {
    for (const [residual, x] of [
      ["float32", "bfloat16"],
      ["bfloat16", "float32"],
      ["float32", "float64"],
      ["float64", "float32"],
      ["float16", "float32"],
      ["float32", "float16"],
    ] as const) {
      const p = problem([3, 20], residual, "float32");
      const mixed = { ...p, x: leaf(p.x, x) };
      const outputs = seeded(...inputsOf(mixed));
      expect(outputs.map(({ dtype }) => dtype)).toEqual([residual, residual]);
      const got = derive(mixed, outputs);
      expect(got.slice(2).map(({ dtype }) => dtype)).toEqual([residual, x, "float32", "float32"]);
      for (const [name, value] of Object.entries(distances(got, exact(mixed)))) {
        expect(value, `${residual} ${x} ${name}`).toBeLessThan(0.01);
      }
    }
  });
});

test("a residual far from zero loses no more digits than its own", () => {
  const x = torch.randn([4, 128]).add(1000);
  const expected = nn.functional.layerNorm(x.double(), [128], {
    weight: null,
    bias: null,
    eps: EPS,
  });
  expect(distance(layerNorm(x, null, null, EPS), expected)).toBeLessThan(1e-4);
});

describe("dropout in it", () => {
  test("drops what wavegpt::dropout of the same seed drops, in the sum and in x's gradient", () => {
    const shape = [13, 128];
    const residual = torch.zeros(shape);
    const x = torch.ones(shape).requiresGrad_(true);
    const [sum] = seeded(residual, x, null, null);
    const expected = multipliers(shape, "float32");
    expect(identical(sum.detach(), expected)).toBe(true);
    sum.sum().backward();
    expect(identical(x.grad!, expected)).toBe(true);
    torch.manualSeed(SEED);
    expect(identical(addDropout(residual, x.detach(), P, true), expected)).toBe(true);
  });

  test("is left out without training, and draws no number then", () => {
    const { residual, x } = problem([5, 12], "float32");
    const before = torch.getRngState();
    for (const [p, train] of [
      [P, false],
      [0, true],
    ] as const) {
      const [sum] = addDropoutLayerNorm(residual, x, null, null, EPS, p, train);
      expect(identical(sum.detach(), residual.add(x).detach())).toBe(true);
      expect(identical(addDropout(residual, x, p, train).detach(), sum.detach())).toBe(true);
    }
    expect(identical(torch.getRngState(), before)).toBe(true);
    const [sum] = addDropoutLayerNorm(residual, x, null, null, EPS, 1, true);
    expect(identical(sum.detach(), residual.detach())).toBe(true);
  });
});

test("one and two threads give the same to the bit", () => {
  const threads = torch.getNumThreads();
  try {
    for (const shape of [
      [4099, 128],
      [3001, 45],
      [7, 20011],
    ]) {
      const p = problem(shape, "float32");
      const [one, two] = [1, 2].map((count) => {
        torch.setNumThreads(count);
        return derive(p, seeded(...inputsOf(p)));
      });
      one!.forEach((tensor, i) => {
        expect(identical(tensor, two![i]!), `${shape} ${NAMES[i]}`).toBe(true);
      });
    }
  } finally {
    torch.setNumThreads(threads);
  }
});

test("inputs and gradients need not be contiguous", () => {
  const shape = [6, 40];
  const p = problem(shape, "float32");
  const strided = (tensor: Tensor) =>
    tensor.detach().t().contiguous().t().requiresGrad_(true) as Tensor;
  const turned = { ...p, residual: strided(p.residual), x: strided(p.x) };
  expect(turned.x.isContiguous()).toBe(false);
  const expected = derive(p, seeded(...inputsOf(p)));
  derive(turned, seeded(...inputsOf(turned))).forEach((tensor, i) => {
    expect(identical(tensor, expected[i]!), NAMES[i]!).toBe(true);
  });
  // sum()'s gradient is one number, expanded.
  const [, normed] = seeded(...inputsOf(p));
  const [dBias] = torch.autograd.grad([normed.sum()], [p.bias]);
  expect(torch.equal(dBias!, torch.full([40], 6))).toBe(true);
});

test("a residual that is x too gets both gradients", () => {
  const { x, weight, bias } = problem([5, 24], "float64");
  expect(gradcheck((a, w, b) => seeded(a!, a!, w!, b!), [x, weight, bias])).toEqual([]);
});

test.each([[[0, 8]], [[3, 0, 8]], [[4, 0]]])("nothing comes of nothing: %o", (shape) => {
  const p = problem(shape, "float32");
  const got = derive(p, seeded(...inputsOf(p)));
  expect(got.map((tensor) => tensor.shape)).toEqual([
    ...Array.from({ length: 4 }, () => shape),
    ...Array.from({ length: 2 }, () => [shape.at(-1)]),
  ]);
  expect(layerNorm(p.x, p.weight, p.bias).shape).toEqual(shape);
});

test("complex tensors are refused", () => {
  const { x } = problem([3, 8], "float32");
  expect(() => layerNorm(x.detach().to("complex64"))).toThrow(
    /wavegpt::layer_norm: expected a floating-point type, got ComplexFloat/,
  );
});

describe("wrong arguments are told", () => {
  const r = torch.randn([2, 3, 8]);
  const norm =
    (residual: Tensor, x: Tensor, weight: Tensor | null, bias: Tensor | null, p = P) =>
    () =>
      addDropoutLayerNorm(residual, x, weight, bias, EPS, p, true);
  const eight = torch.ones([8]);

  test.each([
    [
      "x's shape",
      norm(r, torch.randn([6, 8]), eight, eight),
      /x must have the shape of residual, \[2, 3, 8\], got \[6, 8\]/,
    ],
    [
      "weight's shape",
      norm(r, r, torch.ones([7]), eight),
      /weight must have shape \[8\], got \[7\]/,
    ],
    [
      "bias's rank",
      norm(r, r, eight, torch.ones([1, 8])),
      /bias must have shape \[8\], got \[1, 8\]/,
    ],
    ["p too large", norm(r, r, eight, eight, 1.5), /p must be from 0 to 1, got 1.5/],
    ["p not a number", norm(r, r, eight, eight, Number.NaN), /p must be from 0 to 1, got nan/],
    [
      "integers",
      norm(r.to("int64"), r, null, null),
      /residual must be of a floating-point type, got Long/,
    ],
    [
      "x of integers",
      norm(r, r.to("int64"), null, null),
      /x must be of a floating-point type, got Long/,
    ],
    [
      "a weight of integers",
      norm(r, r, eight.to("int64"), null),
      /weight must be of a floating-point type, got Long/,
    ],
    [
      "a scalar",
      norm(torch.ones([]), torch.ones([]), null, null),
      /expected shape \(\.\.\., channels\), got a scalar/,
    ],
    [
      "another device",
      norm(r, r.to("meta"), null, null),
      /x must be on the device of residual, cpu, got meta/,
    ],
    [
      "add_dropout's shapes",
      () => addDropout(r, eight, P, true),
      /wavegpt::add_dropout: x must have the shape of residual/,
    ],
    [
      "layer_norm's weight",
      () => layerNorm(r, torch.ones([3])),
      /wavegpt::layer_norm: weight must have shape \[8\], got \[3\]/,
    ],
  ])("%s", (_, call, message) => {
    expect(call).toThrow(message);
  });
});

describe("add_dropout", () => {
  const seededAdd = (residual: Tensor, x: Tensor) => {
    torch.manualSeed(SEED);
    return addDropout(residual, x, P, true);
  };

  test("gradients pass in float64, twice", () => {
    const { residual, x } = problem([3, 50], "float64");
    expect(gradcheck((r, a) => seededAdd(r!, a!), [residual, x])).toEqual([]);
    expect(gradcheck((a) => seededAdd(a!, a!), [x])).toEqual([]);
    const [first] = torch.autograd.grad([seededAdd(residual, x).square().sum()], [x], {
      createGraph: true,
    });
    const [second] = torch.autograd.grad([first!.sum()], [x]);
    const expected = multipliers(x.shape, "float64").square().mul(2);
    expect(distance(second!, expected)).toBeLessThan(1e-12);
  });

  test.each(SHAPES.map((shape) => [shape]))("%o in every pair of types", (shape) => {
    for (const left of ["float32", "bfloat16", "float64", "float16"] as const) {
      for (const right of ["float32", "bfloat16", "float64", "float16"] as const) {
        const p = problem(shape, "float32");
        const [residual, x] = [leaf(p.residual, left), leaf(p.x, right)];
        const sum = seededAdd(residual, x);
        const mask = multipliers(shape, "float64");
        expect(sum.dtype).toBe(left);
        const tolerance = [left, right].some((type) => type.endsWith("16")) ? 5e-3 : 1e-6;
        const expected = residual.double().add(x.double().mul(mask));
        expect(distance(sum.detach(), expected.detach())).toBeLessThan(tolerance);
        const [dResidual, dX] = torch.autograd.grad([sum.sum()], [residual, x]);
        expect([dResidual!.dtype, dX!.dtype]).toEqual([left, right]);
        expect(distance(dX!, mask)).toBeLessThan(tolerance);
        expect(torch.equal(dResidual!, torch.ones(shape, { dtype: left }))).toBe(true);
      }
    }
  });
});

test.each(CAPABILITIES)("the same on lesser CPUs: %j", (environment) => {
  const { float32, bfloat16 } = deriveOn(environment, "add_dropout_layer_norm");
  expect(float32).toBeLessThan(5e-6);
  expect(bfloat16).toBeLessThan(1e-2);
});
