import { describe, expect, test } from "vitest";
import { type DType, type Tensor, torch } from "../../lib/index.js";
import { CAPABILITIES, deriveOn } from "./capability.js";
import { derive, distance, identical, leaf } from "./compare.js";
import { gradcheck } from "./gradcheck.js";

const tokenShift = torch.ops.find("wavegpt::token_shift") as (
  x: Tensor,
  past: Tensor,
  share: Tensor,
) => Tensor;

/** libtorch's operators for the same, in the type that shares have. */
function composed(x: Tensor, past: Tensor, share: Tensor): Tensor {
  const own = x.to(share.dtype);
  const before = torch.cat([past.to(share.dtype), own.narrow(1, 0, x.shape[1]! - 1)], 1);
  return torch.lerp(own, before, share).to(x.dtype);
}

interface Problem {
  readonly x: Tensor;
  readonly past: Tensor;
  readonly share: Tensor;
}

function problem(shape: readonly number[], dtype: DType = "float32"): Problem {
  const [rows, , channels] = shape as [number, number, number];
  torch.manualSeed(channels);
  return {
    x: leaf(torch.randn(shape), dtype),
    past: torch.randn([rows, 1, channels]).to(dtype === "float64" ? dtype : "float32"),
    share: leaf(torch.randn([channels]), dtype === "float64" ? dtype : "float32"),
  };
}

/** The output and the gradients of x and shares. */
const derived = ({ x, past, share }: Problem, of: typeof tokenShift = tokenShift) =>
  derive((a, b) => of(a!, past, b!), [x, share]);

const SHAPES = [
  [1, 1, 1],
  [3, 1, 14],
  [2, 5, 66],
  [32, 64, 128],
  [1, 131, 33],
  [5, 64, 130],
  [2, 129, 31],
];

test.each(SHAPES)("[%i, %i, %i]: as libtorch's operators", (...shape) => {
  for (const [dtype, tolerance] of [
    // Sums over the positions, in another order.
    ["float32", 1e-6],
    ["float64", 1e-14],
  ] as const) {
    const given = problem(shape, dtype);
    const expected = derived(given, composed);
    derived(given).forEach((got, i) => {
      expect(got.dtype).toBe(dtype);
      expect(got.shape).toEqual(expected[i]!.shape);
      expect(distance(got, expected[i]!), `${dtype} ${i}`).toBeLessThan(tolerance);
    });
  }
});

test("is what it says, position by position", () => {
  const x = torch.tensor([[[1], [2], [4]]], { dtype: "float32" });
  const past = torch.tensor([[[8]]], { dtype: "float32" });
  const y = tokenShift(x, past, torch.tensor([0.25]));
  expect(y.flatten().tolist()).toEqual([2.75, 1.75, 3.5]);
});

test("gradients pass in float64, and can be differentiated again", () => {
  const { x, past, share } = problem([2, 5, 3], "float64");
  expect(gradcheck((a, b) => tokenShift(a!, past, b!), [x, share])).toEqual([]);
  // A past that wants a gradient is composed.
  const before = past.detach().requiresGrad_(true);
  expect(gradcheck((a, b, c) => tokenShift(a!, c!, b!), [x, share, before])).toEqual([]);
  const twice = (of: typeof tokenShift) => {
    const inputs = [x, share];
    const first = torch.autograd.grad([of(x, past, share).pow(3).sum()], inputs, {
      createGraph: true,
    });
    return torch.autograd.grad([first[0]!.sin().sum().add(first[1]!.sin().sum())], inputs);
  };
  const expected = twice(composed);
  twice(tokenShift).forEach((got, i) => {
    expect(distance(got!, expected[i]!)).toBeLessThan(1e-12);
  });
});

test("x's gradient alone, and the shares' alone, are those of both", () => {
  const { x, past, share } = problem([2, 70, 34]);
  const [, d_x, d_share] = derived({ x, past, share }) as [Tensor, Tensor, Tensor];
  const [, xAlone] = derive((a) => tokenShift(a!, past, share.detach()), [x]);
  const [, shareAlone] = derive((a) => tokenShift(x.detach(), past, a!), [share]);
  expect(identical(xAlone!, d_x)).toBe(true);
  expect(identical(shareAlone!, d_share)).toBe(true);
});

test("bfloat16: no less exact than libtorch", () => {
  const { x, past, share } = problem([32, 64, 128], "bfloat16");
  const exact = derived(
    { x: leaf(x, "float64"), past: past.to("float64"), share: leaf(share, "float64") },
    composed,
  );
  const theirs = derived({ x, past, share }, (a, b, c) => composed(a, b, c.to(a.dtype)));
  derived({ x, past, share }).forEach((got, i) => {
    expect(distance(got, exact[i]!), `${i}`).toBeLessThan(1.02 * distance(theirs[i]!, exact[i]!));
  });
});

test("float16 is composed", () => {
  const given = problem([3, 5, 34], "float16");
  const expected = derived(given, composed);
  derived(given).forEach((got, i) => {
    // libtorch's lerp may contract what the composition does in two steps.
    expect(distance(got, expected[i]!)).toBeLessThan(1e-3);
  });
});

test("one and two threads give the same to the bit, and nothing needs to be contiguous", () => {
  const threads = torch.getNumThreads();
  try {
    const { x, past, share } = problem([33, 70, 66]);
    const turned = x.detach().transpose(0, 2).contiguous().transpose(0, 2).requiresGrad_(true);
    expect(turned.isContiguous()).toBe(false);
    torch.setNumThreads(1);
    const one = derived({ x, past, share });
    torch.setNumThreads(2);
    for (const input of [x, turned]) {
      derived({ x: input, past, share }).forEach((got, i) => {
        expect(identical(got, one[i]!)).toBe(true);
      });
    }
  } finally {
    torch.setNumThreads(threads);
  }
});

test.each([[[0, 8, 4]], [[3, 2, 0]]])("nothing comes of nothing: %o", (shape) => {
  const [y, d_x] = derived(problem(shape)) as [Tensor, Tensor];
  expect([y.shape, d_x.shape]).toEqual([shape, shape]);
});

describe("wrong arguments are told", () => {
  const x = () => torch.ones([2, 3, 4]);
  const past = () => torch.ones([2, 1, 4]);
  const share = () => torch.ones([4]);
  test.each([
    [() => tokenShift(torch.ones([2, 4]), past(), share()), /x must have shape \(batch, time, /],
    [() => tokenShift(torch.ones([2, 0, 4]), past(), share()), /at least one position, got \[2, 0/],
    [
      () => tokenShift(x(), torch.ones([2, 4]), share()),
      /past must have shape \[2, 1, 4\], got \[2, 4\]/,
    ],
    [() => tokenShift(x(), past(), torch.ones([3])), /share must have shape \[4\], got \[3\]/],
    [() => tokenShift(x().to("int64"), past(), share()), /x must be of a floating-point type/],
    [() => tokenShift(x(), past().to("int64"), share()), /past must be of a floating-point type/],
    [() => tokenShift(x(), past(), share().to("int64")), /share must be of a floating-point/],
  ])("%#", (call, message) => {
    expect(call).toThrow(message);
  });
});

test.each(CAPABILITIES)("the same on lesser CPUs: %j", (environment) => {
  const { float32, bfloat16 } = deriveOn(environment, "token_shift");
  expect(float32).toBeLessThan(5e-6);
  expect(bfloat16).toBeLessThan(1e-2);
});
