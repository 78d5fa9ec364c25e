import { describe, expect, test } from "vitest";
import { nn, type Tensor, torch } from "../../lib/index.js";
import { CAPABILITIES, deriveOn } from "./capability.js";
import { type Compute, derive, distance, leaves, lowered } from "./compare.js";
import { gradcheck } from "./gradcheck.js";

const fused = torch.ops.find("wavegpt::attention") as (
  qkv: Tensor,
  heads: number,
  p: number,
  train: boolean,
) => Tensor;

const SEED = 11;
type Shape = readonly [batch: number, time: number, channels: number, heads: number];

/** Tiles have 64 queries: one that is full, ones that are not, and several. */
const SHAPES: readonly Shape[] = [
  [1, 1, 2, 1],
  [3, 1, 12, 2],
  [2, 7, 12, 3],
  [2, 31, 68, 2],
  [2, 64, 128, 4],
  [1, 65, 32, 2],
  [1, 131, 34, 1],
  [2, 200, 96, 3],
];

/** The same numbers are drawn at each call. */
const run =
  (heads: number, p = 0): Compute =>
  (qkv) => {
    torch.manualSeed(SEED);
    return fused(qkv!, heads, p, true);
  };

/** Queries, keys and values as (batch, heads, time, width). */
function split(qkv: Tensor, heads: number): [Tensor, Tensor, Tensor] {
  const [batch, time, all] = qkv.shape as [number, number, number];
  const parts = qkv.reshape([batch, time, 3, heads, all / 3 / heads]).permute([2, 0, 3, 1, 4]);
  return [parts.select(0, 0), parts.select(0, 1), parts.select(0, 2)];
}

const join = (heads: Tensor): Tensor => heads.transpose(1, 2).flatten(2, 3);

const libtorch =
  (heads: number): Compute =>
  (qkv) => {
    const [q, k, v] = split(qkv!, heads);
    return join(nn.functional.scaledDotProductAttention(q, k, v, { isCausal: true }));
  };

function problem([batch, time, channels]: Shape): Tensor {
  torch.manualSeed(time + channels);
  return torch.randn([batch, time, 3 * channels], { dtype: "float64" });
}

/** Attention's multipliers of (batch, heads, time, time), which come out where each value marks its position. */
function multipliers([batch, time, , heads]: Shape, p: number, dtype: "float64" | "float16") {
  const v = torch
    .eye(time, { dtype })
    .reshape([1, time, 1, time])
    .expand([batch, time, heads, time]);
  const none = torch.zeros([batch, time, 2 * heads * time], { dtype });
  const qkv = torch.cat([none, v.reshape([batch, time, heads * time])], 2);
  const out = run(heads, p)(qkv).reshape([batch, time, heads, time]).transpose(1, 2);
  return out.mul(torch.arange(1, time + 1, { dtype }).reshape([time, 1]));
}

/** With dropout: what the kernel dropped, in libtorch's operators. */
const dropped =
  (shape: Shape, p: number): Compute =>
  (qkv) => {
    const [, time, channels, heads] = shape;
    const [q, k, v] = split(qkv!, heads);
    const later = torch.ones([time, time], { dtype: "bool" }).triu(1);
    const scores = q.mul((channels / heads) ** -0.5).matmul(k.transpose(-2, -1));
    const probabilities = scores.maskedFill(later, Number.NEGATIVE_INFINITY).softmax(-1);
    const kept = multipliers(shape, p, "float64").detach().to(qkv!.dtype);
    return join(probabilities.mul(kept).matmul(v));
  };

describe("without dropout", () => {
  test("gradients pass in float64", () => {
    for (const shape of [
      [2, 5, 6, 2],
      [1, 67, 2, 1],
    ] as const) {
      expect(gradcheck((qkv) => run(shape[3])(qkv!), leaves([problem(shape)]) as Tensor[])).toEqual(
        [],
      );
    }
  });

  test.each(SHAPES)(
    "(%i, %i, %i), %i heads: libtorch's in float32 within 2e-6, in float64 within 1e-14",
    (...shape) => {
      for (const [dtype, tolerance] of [
        ["float32", 2e-6],
        ["float64", 1e-14],
      ] as const) {
        const inputs = leaves([problem(shape)], dtype);
        const expected = derive(libtorch(shape[3]), inputs);
        derive(run(shape[3]), inputs).forEach((got, i) => {
          expect(got.dtype).toBe(dtype);
          expect(got.shape).toEqual(expected[i]!.shape);
          expect(distance(got, expected[i]!)).toBeLessThan(tolerance);
        });
      }
    },
  );

  test("an evaluating model drops nothing, and draws no number", () => {
    const qkv = problem([2, 20, 12, 2]).to("float32");
    const expected = fused(qkv, 2, 0, true);
    torch.manualSeed(SEED);
    const before = torch.getRngState();
    expect(torch.equal(fused(qkv, 2, 0.5, false), expected)).toBe(true);
    expect(torch.equal(fused(qkv, 2, 0, true), expected)).toBe(true);
    expect(torch.equal(torch.getRngState(), before)).toBe(true);
  });
});

describe("with dropout", () => {
  test("gradients pass in float64", () => {
    for (const shape of [
      [2, 5, 6, 2],
      [1, 67, 2, 1],
    ] as const) {
      expect(
        gradcheck((qkv) => run(shape[3], 0.3)(qkv!), leaves([problem(shape)]) as Tensor[]),
      ).toEqual([]);
    }
  });

  test.each(SHAPES)(
    "(%i, %i, %i), %i heads: libtorch's with the same dropped, in float32 within 2e-6, in float64 within 1e-14",
    (...shape) => {
      for (const [dtype, tolerance] of [
        ["float32", 2e-6],
        ["float64", 1e-14],
      ] as const) {
        const inputs = leaves([problem(shape)], dtype);
        const expected = derive(dropped(shape, 0.3), inputs);
        derive(run(shape[3], 0.3), inputs).forEach((got, i) => {
          expect(distance(got, expected[i]!)).toBeLessThan(tolerance);
        });
      }
    },
  );

  // There is no kernel for float16.
  test.each(SHAPES)("(%i, %i, %i), %i heads: the composition drops the same", (...shape) => {
    const kernel = multipliers(shape, 0.3, "float64").ne(0);
    const composition = multipliers(shape, 0.3, "float16").ne(0);
    expect(torch.equal(kernel, composition)).toBe(true);
  });

  test("drops at the rate, independently of rows, columns, heads and calls", () => {
    const p = 0.2;
    const shape = [4, 200, 800, 4] as const;
    const later = torch.ones([200, 200], { dtype: "bool" }).triu(1);
    const given = multipliers(shape, p, "float64");
    const lost = given.eq(0).to("float64");
    expect(given.mul(later.to("float64")).abs().max().number()).toBe(0);
    const kept = given.maskedSelect(given.ne(0));
    expect(
      kept
        .sub(1 / (1 - p))
        .abs()
        .max()
        .number(),
    ).toBeLessThan(1e-4);

    const causal = later.logicalNot().to("float64");
    const count = causal.sum().number() * 16;
    const centred = lost.sub(p).mul(causal);
    const deviations = (sum: number, pairs: number, each: number) =>
      Math.abs(sum) / (Math.sqrt(pairs) * each);
    expect(deviations(centred.sum().number(), count, Math.sqrt(p * (1 - p)))).toBeLessThan(4);
    torch.manualSeed(SEED + 1);
    const neighbours: [Tensor, Tensor][] = [
      [centred.narrow(2, 0, 199), centred.narrow(2, 1, 199)],
      [centred.narrow(3, 0, 199), centred.narrow(3, 1, 199)],
      [centred.narrow(1, 0, 3), centred.narrow(1, 1, 3)],
      [centred.narrow(0, 0, 3), centred.narrow(0, 1, 3)],
    ];
    for (const [one, other] of neighbours) {
      const pairs = one.ne(0).logicalAnd(other.ne(0)).sum().number();
      expect(pairs).toBeGreaterThan(count / 2);
      expect(deviations(one.mul(other).sum().number(), pairs, p * (1 - p))).toBeLessThan(4);
    }
  });

  test("the same after the same seed, another at the next call", () => {
    const qkv = problem([2, 20, 12, 2]).to("float32");
    torch.manualSeed(SEED);
    const [first, second] = [fused(qkv, 2, 0.5, true), fused(qkv, 2, 0.5, true)];
    expect(torch.equal(first, run(2, 0.5)(qkv))).toBe(true);
    expect(torch.equal(first, second)).toBe(false);
  });

  test("p of 1 leaves nothing, and no gradient", () => {
    for (const dtype of ["float32", "bfloat16"] as const) {
      const qkv = problem([2, 70, 12, 2]).to(dtype).requiresGrad_(true);
      const got = derive(run(2, 1), [qkv]);
      for (const tensor of got) expect(tensor.abs().max().number()).toBe(0);
    }
  });
});

describe("in bfloat16", () => {
  test.each(SHAPES)(
    "(%i, %i, %i), %i heads: no further from float64 than 1.1 times libtorch's",
    (...shape) => {
      for (const p of [0, 0.3]) {
        const rounded = problem(shape).to("bfloat16");
        const compose = dropped(shape, p);
        const exact = derive(compose, leaves([rounded], "float64"));
        const theirs = derive(compose, leaves([rounded]));
        derive(run(shape[3], p), leaves([rounded])).forEach((got, i) => {
          expect(got.dtype).toBe("bfloat16");
          // A gradient of zero, of the only key there is, comes as what rounding the output left.
          expect(distance(got, exact[i]!)).toBeLessThan(
            Math.max(1.1 * distance(theirs[i]!, exact[i]!), 4e-3),
          );
        });
      }
    },
  );

  test("autocast lowers float32, whose gradient stays float32", () => {
    const inputs = leaves([problem([2, 70, 32, 2])], "float32");
    const whole = derive(run(2), inputs);
    const got = lowered(() => derive(run(2), inputs));
    expect(got.map((tensor) => tensor.dtype)).toEqual(["bfloat16", "float32"]);
    got.forEach((tensor, i) => {
      expect(distance(tensor, whole[i]!)).toBeLessThan(1e-2);
    });
  });

  test("heads of an odd width take the composition", () => {
    const shape = [2, 20, 9, 3] as const;
    const rounded = problem(shape).to("bfloat16");
    const exact = derive(run(3, 0.3), leaves([rounded], "float64"));
    derive(run(3, 0.3), leaves([rounded])).forEach((got, i) => {
      expect(got.dtype).toBe("bfloat16");
      expect(distance(got, exact[i]!)).toBeLessThan(2e-2);
    });
  });
});

describe("causality", () => {
  test.each(["float32", "float64", "bfloat16"] as const)(
    "in %s, no position gets a gradient from an earlier one",
    (dtype) => {
      for (const last of [0, 9, 63, 64, 100]) {
        const qkv = problem([1, 130, 12, 2]).to(dtype).requiresGrad_(true);
        const out = run(2, 0.2)(qkv).narrow(1, 0, last + 1);
        const [gradient] = torch.autograd.grad([out.sum()], [qkv]);
        expect(
          gradient!
            .narrow(1, last + 1, 129 - last)
            .abs()
            .max()
            .number(),
        ).toBe(0);
        expect(
          gradient!
            .narrow(1, 0, last + 1)
            .abs()
            .max()
            .number(),
        ).toBeGreaterThan(0);
      }
    },
  );

  test.each(["float32", "float64", "bfloat16"] as const)(
    "in %s, queries and keys that are no numbers reach no earlier output",
    (dtype) => {
      const qkv = problem([1, 130, 12, 2]).to(dtype);
      const expected = run(2, 0.2)(qkv);
      for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
        const broken = qkv.clone();
        broken.narrow(1, 40, 90).narrow(2, 0, 24).fill_(bad);
        const got = run(2, 0.2)(broken);
        expect(torch.equal(got.narrow(1, 0, 40), expected.narrow(1, 0, 40))).toBe(true);
        expect(got.narrow(1, 40, 90).isnan().all().item()).toBe(true);
      }
    },
  );
});

test("scores of any size keep their digits", () => {
  const shape = [1, 150, 8, 2] as const;
  for (const scale of [1e-3, 30, 1000]) {
    const qkv = problem(shape).mul(scale);
    const expected = libtorch(2)(qkv);
    expect(distance(run(2)(qkv), expected)).toBeLessThan(1e-12);
    // One rounding of a score of this size is an absolute error of the exponent.
    const tolerance = 2e-6 + scale ** 2 * 1e-6;
    if (tolerance < 1e-2) {
      expect(distance(run(2)(qkv.to("float32")), expected)).toBeLessThan(tolerance);
    }
    expect(run(2)(qkv.to("float32")).isfinite().all().item()).toBe(true);
  }
});

test("strided qkv, and gradients that are expanded or of another type", () => {
  const whole = problem([2, 70, 24, 2]).to("float32");
  const expected = derive(run(2, 0.2), leaves([whole]));
  const strided = torch.cat([whole, whole], 2).transpose(0, 1).contiguous().transpose(0, 1);
  const got = derive(run(2, 0.2), [strided.narrow(2, 72, 72).detach().requiresGrad_(true)]);
  got.forEach((tensor, i) => {
    expect(torch.equal(tensor, expected[i]!)).toBe(true);
  });
  const gradient = (qkv: Tensor, scale: (out: Tensor) => Tensor) =>
    torch.autograd.grad([scale(run(2)(qkv)).sum()], [qkv])[0]!;
  const [leaf] = leaves([whole]) as [Tensor];
  const expanded = gradient(leaf, (out) => out);
  expect(
    distance(
      expanded,
      gradient(leaf, (out) => out.mul(torch.onesLike(out))),
    ),
  ).toBe(0);
  const [half] = leaves([whole.to("bfloat16")]) as [Tensor];
  expect(gradient(half, (out) => out.to("float32")).dtype).toBe("bfloat16");
});

test("second derivatives are the composition's", () => {
  const shape = [1, 6, 4, 2] as const;
  const twice = (compute: Compute) => {
    const [qkv] = leaves([problem(shape)]) as [Tensor];
    const [first] = torch.autograd.grad([compute(qkv).square().sum()], [qkv], {
      createGraph: true,
    });
    return torch.autograd.grad([first!.square().sum()], [qkv])[0]!;
  };
  expect(distance(twice(run(2, 0.3)), twice(dropped(shape, 0.3)))).toBeLessThan(1e-12);
});

test("a graph that is kept gives the same gradient again", () => {
  const [qkv] = leaves([problem([2, 70, 24, 2])], "float32") as [Tensor];
  const out = run(2, 0.2)(qkv);
  const once = torch.autograd.grad([out.sum()], [qkv], { retainGraph: true })[0]!;
  expect(torch.equal(torch.autograd.grad([out.sum()], [qkv])[0]!, once)).toBe(true);
});

test("no sequences, and no positions", () => {
  for (const shape of [
    [0, 5, 12],
    [3, 0, 12],
  ]) {
    for (const dtype of ["float32", "bfloat16"] as const) {
      const qkv = torch.zeros(shape, { dtype }).requiresGrad_(true);
      const [out, gradient] = derive(run(2, 0.2), [qkv]);
      expect(out!.shape).toEqual([shape[0], shape[1], 4]);
      expect(gradient!.shape).toEqual(shape);
    }
  }
});

test("the same bits for any number of threads", () => {
  const before = torch.getNumThreads();
  try {
    for (const dtype of ["float32", "float64", "bfloat16"] as const) {
      const qkv = problem([3, 210, 24, 3]).to(dtype);
      const [one, ...others] = [1, 2, 3, 5].map((threads) => {
        torch.setNumThreads(threads);
        return derive(run(3, 0.2), leaves([qkv]));
      });
      for (const other of others) {
        other.forEach((got, i) => {
          expect(torch.equal(got, one![i]!)).toBe(true);
        });
      }
    }
  } finally {
    torch.setNumThreads(before);
  }
});

test("meta tensors take the composition", () => {
  const qkv = torch.zeros([2, 5, 12]).to("meta");
  expect(fused(qkv, 2, 0.2, false).shape).toEqual([2, 5, 4]);
});

test.each(CAPABILITIES)("the same on lesser CPUs: %j", (environment) => {
  const { float32, bfloat16 } = deriveOn(environment, "attention");
  expect(float32).toBeLessThan(2e-6);
  expect(bfloat16).toBeLessThan(2e-2);
});

test.each<[message: RegExp, call: () => Tensor]>([
  [
    /qkv must be of a floating-point type, got Long/,
    () => fused(torch.zeros([2, 3, 6]).long(), 1, 0, true),
  ],
  [
    /qkv must have shape \(batch, time, 3 \* channels\), got \[3, 6\]/,
    () => fused(torch.zeros([3, 6]), 1, 0, true),
  ],
  [
    /channels a multiple of the 2 heads, got \[2, 3, 9\]/,
    () => fused(torch.zeros([2, 3, 9]), 2, 0, true),
  ],
  [/3 \* channels.*got \[2, 3, 8\]/, () => fused(torch.zeros([2, 3, 8]), 2, 0, true)],
  [/3 \* channels.*got \[2, 3, 0\]/, () => fused(torch.zeros([2, 3, 0]), 2, 0, true)],
  [/heads must be positive, got 0/, () => fused(torch.zeros([2, 3, 6]), 0, 0, true)],
  [/heads must be positive, got -1/, () => fused(torch.zeros([2, 3, 6]), -1, 0, true)],
  [/p must be from 0 to 1, got 1.5/, () => fused(torch.zeros([2, 3, 6]), 1, 1.5, true)],
  [/p must be from 0 to 1, got nan/, () => fused(torch.zeros([2, 3, 6]), 1, Number.NaN, false)],
])("bad arguments: %s", (message, call) => {
  expect(call).toThrow(message);
});
