import { describe, expect, test } from "vitest";
import { type DType, nn, type Tensor, torch } from "../../lib/index.js";
import { CAPABILITIES, deriveOn } from "./capability.js";
import { derive, distance, identical, leaf } from "./compare.js";
import { gradcheck } from "./gradcheck.js";

type Pair = [out: Tensor, state: Tensor];

const operator = torch.ops.find("wavegpt::retention.default") as (
  qkvg: Tensor,
  state: Tensor,
  decays: readonly number[],
  eps: number,
) => Pair;

const EPS = 1e-5;
const DECAYS = [1 - 2 ** -5, 1 - 2 ** -9];
const fused = (qkvg: Tensor, state: Tensor, decays = DECAYS) => operator(qkvg, state, decays, EPS);

/** The definition, position by position. */
function recurrent(qkvg: Tensor, before: Tensor, decays: readonly number[] = DECAYS): Pair {
  const [rows, length, channels4] = qkvg.shape as [number, number, number];
  const heads = decays.length;
  const width = channels4 / 4 / heads;
  const { dtype } = before;
  const decay = torch
    .tensor([...decays], { dtype: "float64" })
    .to(dtype)
    .view(heads, 1, 1);
  let state = before;
  const outs = Array.from({ length }, (_, t) => {
    const position = qkvg.to(dtype).select(1, t).view(rows, 4, heads, width);
    const [q, k, v, gate] = position.unbind(1) as [Tensor, Tensor, Tensor, Tensor];
    state = state.mul(decay).add(k.div(Math.sqrt(width)).unsqueeze(-1).mul(v.unsqueeze(-2)));
    const o = q.unsqueeze(-1).mul(state).sum(-2);
    const normed = nn.functional.layerNorm(o, [width], { eps: EPS });
    return normed.mul(nn.functional.silu(gate)).reshape([rows, 1, channels4 / 4]);
  });
  return [torch.cat(outs, 1).to(qkvg.dtype), state];
}

interface Problem {
  readonly qkvg: Tensor;
  readonly state: Tensor;
}

function problem(
  [rows, length, width]: readonly number[],
  dtype: DType = "float32",
  heads = DECAYS.length,
): Problem {
  torch.manualSeed(length! + width!);
  const sums = dtype === "float64" ? "float64" : "float32";
  return {
    qkvg: leaf(torch.randn([rows!, length!, 4 * heads * width!]), dtype),
    state: torch.randn([rows!, heads, width!, width!]).to(sums),
  };
}

/** The output, the next state and the gradient of the first. */
function derived({ qkvg, state }: Problem, of: typeof fused = fused): Tensor[] {
  const [out, gradient] = derive((x) => of(x!, state)[0], [qkvg]) as [Tensor, Tensor];
  return [out, torch.noGrad(() => of(qkvg, state)[1]), gradient];
}

test.each([
  [[1, 1, 1]],
  [[2, 1, 8]],
  [[3, 7, 5]],
  [[2, 64, 32]],
  [[2, 65, 16]],
  [[1, 131, 34]],
  [[2, 256, 16]],
])("rows, positions and width %o: as the recurrence", (shape) => {
  for (const [dtype, tolerance] of [
    // Sums of up to 256 positions in another order, divided by a deviation that may be small.
    ["float32", 4e-5],
    ["float64", 1e-12],
  ] as const) {
    const given = problem(shape, dtype);
    const expected = derived(given, recurrent);
    derived(given).forEach((got, i) => {
      expect(got.dtype).toBe(dtype);
      expect(got.shape).toEqual(expected[i]!.shape);
      expect(distance(got, expected[i]!), `${dtype} ${i}`).toBeLessThan(tolerance);
    });
  }
});

test("any number of positions, decays that soon reach nothing: composed", () => {
  for (const [shape, decays] of [
    [[1, 300, 4], DECAYS],
    [
      [1, 200, 4],
      [0.5, 1e-3],
    ],
  ] as const) {
    const { qkvg, state } = problem(shape, "float64");
    const both = (of: typeof fused) => {
      const start = leaf(state, "float64");
      const [out, next] = of(qkvg, start, [...decays]);
      return [out, next, ...torch.autograd.grad([out.sin().sum().add(next.sum())], [qkvg, start])];
    };
    const expected = both(recurrent);
    both(fused).forEach((got, i) => {
      expect(distance(got!, expected[i]!), `${i}`).toBeLessThan(1e-11);
    });
  }
});

test("gradients pass in float64, and can be differentiated again", () => {
  const { qkvg, state } = problem([2, 5, 3], "float64");
  expect(gradcheck((x) => fused(x!, state)[0], [qkvg])).toEqual([]);
  const before = leaf(state, "float64");
  expect(gradcheck((x, s) => fused(x!, s!), [qkvg, before])).toEqual([]);
  const twice = (of: typeof fused) => {
    const loss = of(qkvg, state)[0].pow(3).sum();
    const [first] = torch.autograd.grad([loss], [qkvg], { createGraph: true });
    return [first!, ...torch.autograd.grad([first!.sin().sum()], [qkvg])];
  };
  const expected = twice(recurrent);
  twice(fused).forEach((got, i) => {
    expect(distance(got!, expected[i]!)).toBeLessThan(1e-9);
  });
});

test("a state that asks for no gradient gives one that has none", () => {
  const { qkvg, state } = problem([2, 5, 3]);
  const [out, next] = fused(qkvg, state);
  expect([out.requiresGrad, next.requiresGrad]).toEqual([true, false]);
});

/** For all positions at once, with products in the type of qkvg. */
function parallel(qkvg: Tensor, before: Tensor, decays: readonly number[] = DECAYS): Pair {
  const [rows, length, channels4] = qkvg.shape as [number, number, number];
  const heads = decays.length;
  const width = channels4 / 4 / heads;
  const powers = (of: (decay: number, t: number) => number) =>
    torch
      .tensor(
        decays.map((decay) => Array.from({ length }, (_, t) => [of(decay, t + 1)])),
        { dtype: "float64" },
      )
      .to(before.dtype);
  const times = (x: Tensor, factors: Tensor) => x.mul(factors).to(qkvg.dtype);
  const [q, k, v, gate] = qkvg
    .reshape([rows, length, 4, heads, width])
    .permute([2, 0, 3, 1, 4])
    .unbind(0) as [Tensor, Tensor, Tensor, Tensor];
  const queries = times(
    q,
    powers((decay, t) => decay ** t),
  );
  const keys = times(
    k,
    powers((decay, t) => decay ** -t / Math.sqrt(width)),
  );
  const weights = queries.matmul(keys.transpose(-2, -1)).tril();
  const o = weights.matmul(v).add(queries.matmul(before.to(qkvg.dtype)));
  const normed = nn.functional.layerNorm(o, [width], { eps: EPS });
  const out = normed.mul(nn.functional.silu(gate)).transpose(1, 2);
  const whole = powers((decay) => decay ** length).narrow(1, 0, 1);
  return [
    out.reshape([rows, length, channels4 / 4]),
    before.add(keys.transpose(-2, -1).matmul(v)).mul(whole),
  ];
}

test.each([[[4, 64, 32]], [[2, 1, 8]], [[3, 7, 6]], [[2, 131, 34]], [[1, 256, 16]]])(
  "rows, positions and width %o: bfloat16 is no less exact than products of libtorch",
  (shape) => {
    const given = problem(shape, "bfloat16");
    const exact = derived(
      { qkvg: leaf(given.qkvg, "float64"), state: given.state.to("float64") },
      recurrent,
    );
    const theirs = derived(given, parallel);
    const got = derived(given);
    expect(got.map(({ dtype }) => dtype)).toEqual(["bfloat16", "float32", "bfloat16"]);
    got.forEach((tensor, i) => {
      expect(distance(tensor, exact[i]!), `${i}`).toBeLessThan(
        Math.max(1.02 * distance(theirs[i]!, exact[i]!), 1e-3),
      );
    });
  },
);

test("bfloat16 of an odd width, or of more positions, is composed in float32", () => {
  for (const shape of [
    [2, 20, 3],
    [1, 300, 4],
  ]) {
    const given = problem(shape, "bfloat16");
    const exact = derived({ ...given, qkvg: leaf(given.qkvg, "float32") }, recurrent);
    derived(given).forEach((got, i) => {
      // The rounding of a result.
      expect(distance(got, exact[i]!), `${i}`).toBeLessThan(i === 1 ? 1e-6 : 2 ** -8);
    });
  }
});

test("autocast does not round what the state is made of, where it is composed", () => {
  const { qkvg, state } = problem([4, 64, 32]);
  const [, exact] = recurrent(qkvg, state);
  const composed = torch.autocast({ deviceType: "cpu" }, () =>
    fused(qkvg.detach(), leaf(state, "float32")),
  );
  expect(distance(composed[1], exact)).toBeLessThan(1e-6);
});

test("a state that is carried over many blocks keeps its digits in bfloat16", () => {
  const { qkvg, state } = problem([2, 64, 32], "bfloat16");
  const carried = (of: typeof fused, dtype: DType) => {
    let [x, next] = [qkvg.detach().to(dtype === "float64" ? dtype : qkvg.dtype), state.to(dtype)];
    for (let block = 0; block < 30; block++) {
      [, next] = of(x, next);
      x = x.roll(1, 0);
    }
    return next;
  };
  expect(
    distance(
      torch.noGrad(() => carried(fused, "float32")),
      carried(recurrent, "float64"),
    ),
  ).toBeLessThan(2 ** -8);
});

test.each(["float32", "bfloat16"] as const)(
  "%s: one and two threads give the same to the bit, and nothing needs to be contiguous",
  (dtype) => {
    const threads = torch.getNumThreads();
    try {
      const { qkvg, state } = problem([5, 70, 8], dtype);
      const turned = {
        qkvg: qkvg.detach().transpose(0, 2).contiguous().transpose(0, 2).requiresGrad_(true),
        state: state.transpose(-1, -2).contiguous().transpose(-1, -2),
      };
      expect([turned.qkvg.isContiguous(), turned.state.isContiguous()]).toEqual([false, false]);
      torch.setNumThreads(1);
      const one = derived({ qkvg, state });
      torch.setNumThreads(2);
      for (const given of [{ qkvg, state }, turned]) {
        derived(given).forEach((got, i) => {
          expect(identical(got, one[i]!)).toBe(true);
        });
      }
    } finally {
      torch.setNumThreads(threads);
    }
  },
);

test("no rows, no positions", () => {
  const none = derived(problem([0, 4, 2]));
  expect(none.map(({ shape }) => shape)).toEqual([
    [0, 4, 4],
    [0, 2, 2, 2],
    [0, 4, 16],
  ]);
  const { qkvg, state } = problem([2, 0, 2]);
  expect(identical(derived({ qkvg, state })[1]!, state)).toBe(true);
});

describe("wrong arguments are told", () => {
  const x = () => torch.ones([2, 3, 16]);
  const state = () => torch.zeros([2, 2, 2, 2]);
  test.each([
    [() => fused(torch.ones([2, 3, 12]), state()), /a multiple of the 2 heads, got \[2, 3, 12\]/],
    [() => fused(torch.ones([3, 16]), state()), /shape \(batch, time, 4 \* channels\)/],
    [
      () => fused(x(), torch.zeros([2, 2, 2, 3])),
      /state must have shape \[2, 2, 2, 2\], got \[2, 2, 2, 3\]/,
    ],
    [() => fused(x(), state(), [0.5, 1]), /decays must lie between 0 and 1, got 1/],
    [() => fused(x(), state(), []), /one number for each head, got none/],
    [
      () => fused(torch.ones([2, 3, 16], { dtype: "int64" }), state()),
      /floating-point type, got Long/,
    ],
  ])("%#", (call, message) => {
    expect(call).toThrow(message);
  });
});

test.each(CAPABILITIES)("the same on lesser CPUs: %j", (environment) => {
  const { float32, bfloat16 } = deriveOn(environment, "retention");
  expect(float32).toBeLessThan(5e-5);
  expect(bfloat16).toBeLessThan(2e-2);
});
