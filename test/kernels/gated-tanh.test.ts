import { describe, expect, test } from "vitest";
import { type DType, type Tensor, torch } from "../../lib/index.js";
import { CAPABILITIES, deriveOn } from "./capability.js";
import { derive, distance, identical, leaf } from "./compare.js";
import { gradcheck } from "./gradcheck.js";

const gatedTanh = torch.ops.find("wavegpt::gated_tanh.default") as (x: Tensor) => Tensor;
/** libtorch's operators for the same. */
const composed = (x: Tensor) => {
  const [filter, gate] = x.chunk(2, -1) as [Tensor, Tensor];
  return filter.tanh().mul(gate.sigmoid());
};

function problem(shape: readonly number[], dtype: DType = "float32"): Tensor {
  torch.manualSeed(shape.length);
  return leaf(torch.randn(shape).mul(2), dtype);
}

/** The output and the gradient. */
const derived = (x: Tensor, of: (x: Tensor) => Tensor = gatedTanh) => derive((a) => of(a!), [x]);

test.each([[[2]], [[1, 14]], [[3, 5, 66]], [[32, 64, 256]], [[7, 1, 130]], [[2, 3, 4, 34]]])(
  "%o: as libtorch's operators",
  (shape) => {
    for (const [dtype, tolerance] of [
      // Some units in the last place: tanh comes from one exponential, and is not exact near 0.
      ["float32", 5e-7],
      ["float64", 1e-15],
    ] as const) {
      const x = problem(shape, dtype);
      const expected = derived(x, composed);
      derived(x).forEach((got, i) => {
        expect(got.dtype).toBe(dtype);
        expect(got.shape).toEqual(expected[i]!.shape);
        expect(distance(got, expected[i]!), `${dtype} ${i}`).toBeLessThan(tolerance);
      });
    }
  },
);

test("gradients pass in float64, and can be differentiated again", () => {
  const x = problem([2, 3, 10], "float64");
  expect(gradcheck((a) => gatedTanh(a!), [x])).toEqual([]);
  const twice = (of: (x: Tensor) => Tensor) => {
    const [first] = torch.autograd.grad([of(x).pow(3).sum()], [x], { createGraph: true });
    return [first!, ...torch.autograd.grad([first!.sin().sum()], [x])];
  };
  const expected = twice(composed);
  twice(gatedTanh).forEach((got, i) => {
    expect(distance(got!, expected[i]!)).toBeLessThan(1e-13);
  });
});

test("numbers far out give the limits, and what is no number gives none", () => {
  for (const dtype of ["float32", "float64", "bfloat16"] as const) {
    const far = [100, -100, Infinity, -Infinity, 1e30, NaN, 0, 0];
    const gates = [100, 100, Infinity, -1e30, -Infinity, 0, NaN, 0];
    const x = leaf(torch.tensor([[...far, ...gates]]), dtype);
    const expected = [1, -1, 1, 0, 0, NaN, NaN, 0];
    const [out, gradient] = derived(x) as [Tensor, Tensor];
    const got = (out.to("float64").reshape([-1]).tolist() as number[]).map((value) => value + 0);
    expect(got).toEqual(expected);
    expect(
      (gradient.to("float64").narrow(1, 0, 5).tolist() as number[][])[0]!.map(Math.abs),
    ).toEqual([0, 0, 0, 0, 0]);
  }
});

test("bfloat16: no less exact than libtorch", () => {
  const x = problem([32, 64, 256], "bfloat16");
  const exact = derived(leaf(x, "float64"), composed);
  const theirs = derived(x, composed);
  derived(x).forEach((got, i) => {
    expect(got.dtype).toBe("bfloat16");
    expect(distance(got, exact[i]!)).toBeLessThan(1.02 * distance(theirs[i]!, exact[i]!));
  });
});

test("float16 is composed", () => {
  const x = problem([3, 34], "float16");
  derived(x).forEach((got, i) => {
    expect(identical(got, derived(x, composed)[i]!)).toBe(true);
  });
});

test("one and two threads give the same to the bit, and nothing needs to be contiguous", () => {
  const threads = torch.getNumThreads();
  try {
    const x = problem([33, 70, 66]);
    const turned = x.detach().transpose(0, 2).contiguous().transpose(0, 2).requiresGrad_(true);
    expect(turned.isContiguous()).toBe(false);
    torch.setNumThreads(1);
    const one = derived(x);
    torch.setNumThreads(2);
    for (const input of [x, turned]) {
      derived(input).forEach((got, i) => {
        expect(identical(got, one[i]!)).toBe(true);
      });
    }
  } finally {
    torch.setNumThreads(threads);
  }
});

test.each([[[0, 8]], [[3, 0]]])("nothing comes of nothing: %o", (shape) => {
  const [out, gradient] = derived(problem(shape)) as [Tensor, Tensor];
  expect([out.shape, gradient.shape]).toEqual([[shape[0], shape[1]! / 2], shape]);
});

describe("wrong arguments are told", () => {
  test.each([
    [() => gatedTanh(torch.ones([2, 3])), /x must have an even number of channels, got \[2, 3\]/],
    [() => gatedTanh(torch.ones([])), /x must have an even number of channels, got \[\]/],
    [() => gatedTanh(torch.ones([2], { dtype: "int64" })), /floating-point type, got Long/],
  ])("%#", (call, message) => {
    expect(call).toThrow(message);
  });
});

test.each(CAPABILITIES)("the same on lesser CPUs: %j", (environment) => {
  const { float32, bfloat16 } = deriveOn(environment, "gated_tanh");
  expect(float32).toBeLessThan(5e-6);
  expect(bfloat16).toBeLessThan(1e-2);
});
