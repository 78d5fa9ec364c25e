import { describe, expect, test } from "vitest";
import { type DType, type Tensor, torch } from "../../lib/index.js";
import { CAPABILITIES, deriveOn } from "./capability.js";
import { distance, identical, leaf } from "./compare.js";
import { gradcheck } from "./gradcheck.js";

type Mix = (g: Tensor, h: Tensor, beta: Tensor) => Tensor;
const mix = torch.ops.find("wavegpt::mix.default") as Mix;
/** libtorch's operators for the same. */
const composed: Mix = (g, h, beta) => g.mul(torch.rsub(beta, 1)).add(h.mul(beta));

type Inputs = [g: Tensor, h: Tensor, beta: Tensor];

function problem(
  shape: readonly [number, number, number],
  ofBatch: boolean,
  [g, h, beta]: readonly [DType, DType, DType] = ["float32", "float32", "float32"],
): Inputs {
  const [batch, length, channels] = shape;
  torch.manualSeed(length);
  return [
    leaf(torch.randn(shape), g),
    leaf(torch.randn([batch, 1, channels]), h),
    leaf(torch.rand(ofBatch ? [batch, 1, 1] : [1]), beta),
  ];
}

/** The output and the gradients of all inputs. */
function derive(inputs: Inputs, of = mix): Tensor[] {
  const out = of(...inputs);
  torch.manualSeed(2);
  const gradOutputs = [torch.randn(out.shape).to(out.dtype)];
  return [out.detach(), ...torch.autograd.grad([out], inputs, { gradOutputs })];
}

const SHAPES: [number, number, number][] = [
  [1, 1, 1],
  [3, 1, 7],
  [2, 5, 33],
  [4, 64, 128],
  [1, 131, 65],
  [5, 200, 17],
];
const CASES = SHAPES.flatMap((shape) => [false, true].map((ofBatch) => [shape, ofBatch] as const));

test.each(CASES)("%o, beta of each row %s: as libtorch's operators", (shape, ofBatch) => {
  for (const dtype of ["float32", "float64"] as const) {
    const inputs = problem(shape, ofBatch, [dtype, dtype, dtype]);
    const expected = derive(inputs, composed);
    derive(inputs).forEach((got, i) => {
      expect(got.dtype).toBe(dtype);
      expect(got.shape).toEqual(expected[i]!.shape);
      const tolerance = dtype === "float32" ? 2e-5 : 1e-13;
      expect(distance(got, expected[i]!), `${dtype} ${i}`).toBeLessThan(tolerance);
    });
  }
});

const ALL_DOUBLE = ["float64", "float64", "float64"] as const;

test.each([false, true])("gradients pass in float64, beta of each row: %s", (ofBatch) => {
  const inputs = problem([2, 3, 5], ofBatch, ALL_DOUBLE);
  expect(gradcheck((g, h, beta) => mix(g!, h!, beta!), inputs)).toEqual([]);
  for (const wanted of [0, 1, 2]) {
    const only = inputs.map((input, i) => (i === wanted ? input : input.detach()));
    expect(gradcheck((...values) => mix(...(values as Inputs)), only)).toEqual([]);
  }
});

test("gradients can be differentiated again", () => {
  const inputs = problem([2, 4, 3], false, ALL_DOUBLE);
  const twice = (of: Mix) => {
    const loss = of(...inputs)
      .pow(3)
      .sum();
    const gradients = torch.autograd.grad([loss], inputs, { createGraph: true });
    const next = gradients.map((gradient) => gradient.sin().sum()).reduce((a, b) => a.add(b));
    return [...gradients, ...torch.autograd.grad([next], inputs)];
  };
  const expected = twice(composed);
  twice(mix).forEach((got, i) => {
    expect(distance(got, expected[i]!)).toBeLessThan(1e-12);
  });
});

test("beta of 0 gives g, and of 1 gives h", () => {
  const [g, h] = problem([2, 5, 33], false).map((tensor) => tensor.detach()) as Inputs;
  expect(torch.equal(mix(g, h, torch.zeros([1])), g)).toBe(true);
  expect(torch.equal(mix(g, h, torch.ones([1])), h.expand([2, 5, 33]))).toBe(true);
  expect(torch.equal(mix(g, h, torch.zeros([])), g)).toBe(true);
});

test.each([
  [["bfloat16", "bfloat16", "bfloat16"]],
  [["float32", "bfloat16", "float32"]],
  [["bfloat16", "float32", "float32"]],
] as [[DType, DType, DType]][])("types %o: no less exact than libtorch", (types) => {
  const inputs = problem([4, 64, 128], false, types);
  const lowered: Mix = (g, h, beta) => composed(g, h, beta).to(types[0]);
  const exact = derive(inputs.map((input) => leaf(input, "float64")) as Inputs, composed);
  const theirs = derive(inputs, lowered);
  derive(inputs).forEach((got, i) => {
    expect(got.dtype).toBe(theirs[i]!.dtype);
    const error = distance(got, exact[i]!);
    // Of one number, beta's gradient, either side may come closer by chance.
    const bound = i === 3 ? 1e-2 : 1.05 * distance(theirs[i]!, exact[i]!) + 1e-6;
    expect(error, `${i}`).toBeLessThan(bound);
  });
});

test("float16 is composed, and comes in float16", () => {
  const inputs = problem([2, 5, 33], true, ["float16", "float32", "float32"]);
  const expected = derive(inputs.map((input) => leaf(input, "float64")) as Inputs, composed);
  derive(inputs).forEach((got, i) => {
    expect(got.dtype).toBe(inputs[i === 0 ? 0 : i - 1]!.dtype);
    expect(distance(got, expected[i]!)).toBeLessThan(2e-3);
  });
});

test("one and two threads give the same to the bit", () => {
  const threads = torch.getNumThreads();
  try {
    for (const shape of [
      [33, 64, 128],
      [1, 5003, 65],
    ] as [number, number, number][]) {
      const inputs = problem(shape, false);
      const [one, two] = [1, 2].map((count) => {
        torch.setNumThreads(count);
        return derive(inputs);
      });
      one!.forEach((tensor, i) => {
        expect(identical(tensor, two![i]!)).toBe(true);
      });
    }
  } finally {
    torch.setNumThreads(threads);
  }
});

test("nothing needs to be contiguous", () => {
  const [g, h, beta] = problem([4, 6, 40], true);
  const strided = (tensor: Tensor) =>
    tensor.detach().transpose(0, 2).contiguous().transpose(0, 2).requiresGrad_(true);
  const turned: Inputs = [strided(g), strided(h), strided(beta)];
  expect(turned[0].isContiguous()).toBe(false);
  const expected = derive([g, h, beta]);
  derive(turned).forEach((tensor, i) => {
    expect(identical(tensor, expected[i]!)).toBe(true);
  });
  const [dG] = torch.autograd.grad([mix(g, h, beta).sum()], [g]);
  expect(distance(dG!, torch.rsub(beta.detach(), 1).expand([4, 6, 40]))).toBeLessThan(1e-6);
});

test.each([[[0, 3, 4]], [[2, 0, 4]], [[2, 3, 0]]] as [[number, number, number]][])(
  "nothing comes of nothing: %o",
  (shape) => {
    const inputs = problem(shape, false);
    const got = derive(inputs);
    expect(got.map((tensor) => tensor.shape)).toEqual([shape, ...inputs.map((t) => t.shape)]);
    expect(torch.equal(got[3]!, torch.zeros([1]))).toBe(true);
  },
);

describe("wrong arguments are told", () => {
  const g = torch.randn([2, 3, 4]);
  const h = torch.randn([2, 1, 4]);
  const beta = torch.ones([1]);
  test.each([
    [
      "g of two dimensions",
      () => mix(h.reshape([2, 4]), h, beta),
      /g must have shape \(batch, length, channels\), got \[2, 4\]/,
    ],
    ["h as long as g", () => mix(g, g, beta), /h must have shape \[2, 1, 4\], got \[2, 3, 4\]/],
    [
      "h of other channels",
      () => mix(g, torch.randn([2, 1, 3]), beta),
      /h must have shape \[2, 1, 4\], got \[2, 1, 3\]/,
    ],
    [
      "two betas",
      () => mix(g, h, torch.ones([2])),
      /beta must have shape \[1\] or \[2, 1, 1\], got \[2\]/,
    ],
    [
      "betas of another batch",
      () => mix(g, h, torch.ones([3, 1, 1])),
      /beta must have shape \[1\] or \[2, 1, 1\], got \[3, 1, 1\]/,
    ],
    [
      "g of integers",
      () => mix(g.to("int64"), h, beta),
      /g must be of a floating-point type, got Long/,
    ],
    [
      "beta of booleans",
      () => mix(g, h, beta.to("bool")),
      /beta must be of a floating-point type, got Bool/,
    ],
    [
      "another device",
      () => mix(g, h.to("meta"), beta),
      /expected all tensors on the device of g, cpu, got one on meta/,
    ],
  ])("%s", (_, call, message) => {
    expect(call).toThrow(message);
  });
});

test.each(CAPABILITIES)("the same on lesser CPUs: %j", (environment) => {
  const { float32, bfloat16 } = deriveOn(environment, "mix");
  expect(float32).toBeLessThan(5e-6);
  // Autocast leaves it in the type of its inputs.
  expect(bfloat16).toBeLessThan(5e-6);
});
