import { describe, expect, test } from "vitest";
import { nn, type Tensor, torch } from "../../lib/index.js";
import { CAPABILITIES, deriveOn } from "./capability.js";
import { type Compute, derive, distance, identical, leaf, leaves, lowered } from "./compare.js";
import { gradcheck } from "./gradcheck.js";

const fused = torch.ops.find("wavegpt::gated_conv") as (
  x: Tensor,
  past: Tensor,
  w1: Tensor,
  b1: Tensor | null,
  w2: Tensor,
  b2: Tensor | null,
) => Tensor;

interface Shape {
  readonly rows: number;
  readonly length: number;
  readonly dilation: number;
  readonly channels: number;
  readonly hidden: number;
  readonly out: number;
}

const SHAPES: readonly Shape[] = [
  { rows: 1, length: 1, dilation: 1, channels: 2, hidden: 2, out: 2 },
  { rows: 3, length: 1, dilation: 4, channels: 4, hidden: 6, out: 8 },
  { rows: 2, length: 5, dilation: 8, channels: 6, hidden: 4, out: 10 },
  { rows: 4, length: 64, dilation: 8, channels: 128, hidden: 128, out: 128 },
  { rows: 5, length: 37, dilation: 3, channels: 10, hidden: 34, out: 14 },
  { rows: 2, length: 131, dilation: 127, channels: 66, hidden: 130, out: 258 },
  { rows: 1, length: 200, dilation: 64, channels: 150, hidden: 18, out: 22 },
  { rows: 40, length: 2, dilation: 1, channels: 8, hidden: 300, out: 6 },
];

interface Problem {
  readonly past: Tensor;
  /** x, w1, b1, w2, b2. */
  readonly inputs: (Tensor | null)[];
}

function problem(shape: Shape, biases = [true, true]): Problem {
  const { rows, length, dilation, channels, hidden, out } = shape;
  torch.manualSeed(hidden);
  const values = (size: readonly number[], scale = 1) =>
    torch.randn([...size], { dtype: "float64" }).mul(scale);
  return {
    past: values([rows, dilation, channels]).to("float32"),
    inputs: leaves(
      [
        values([rows, length, channels]),
        values([2 * hidden, 2 * channels], (2 * channels) ** -0.5),
        biases[0] ? values([2 * hidden]) : null,
        values([out, hidden], hidden ** -0.5),
        biases[1] ? values([out]) : null,
      ],
      "float32",
    ),
  };
}

const run =
  (past: Tensor): Compute =>
  (x, w1, b1, w2, b2) =>
    fused(x!, past, w1!, b1 ?? null, w2!, b2 ?? null);

/** By libtorch's convolution: the weight of each tap apart. */
const convolved =
  (past: Tensor): Compute =>
  (x, w1, b1, w2, b2) => {
    const dilation = past.shape[1]!;
    const whole = torch.cat([past.to(x!.dtype), x!], 1).transpose(1, 2);
    const [earlier, own] = w1!.chunk(2, 1) as [Tensor, Tensor];
    const weight = torch.stack([earlier, own], 2);
    const z = nn.functional.conv1d(whole, weight, { bias: b1 ?? null, dilation }).transpose(1, 2);
    const [filter, gate] = z.chunk(2, -1) as [Tensor, Tensor];
    return nn.functional.linear(filter.tanh().mul(gate.sigmoid()), w2!, b2 ?? null);
  };

/** The same of joined taps, which is what autocast rounds as the kernel does. */
const joined =
  (past: Tensor): Compute =>
  (x, w1, b1, w2, b2) => {
    const before = torch.cat([past.to(x!.dtype), x!], 1).narrow(1, 0, x!.shape[1]!);
    const z = nn.functional.linear(torch.cat([before, x!], -1), w1!, b1 ?? null);
    const [filter, gate] = z.chunk(2, -1) as [Tensor, Tensor];
    return nn.functional.linear(filter.tanh().mul(gate.sigmoid()), w2!, b2 ?? null);
  };

test("gradients pass in float64, with and without biases", () => {
  for (const biases of [
    [true, true],
    [false, true],
    [true, false],
    [false, false],
  ]) {
    const shape = { rows: 2, length: 5, dilation: 2, channels: 3, hidden: 3, out: 4 };
    const { past, inputs: single } = problem(shape, biases);
    const inputs = leaves(single, "float64");
    const compute = (...given: Tensor[]) => {
      const rest = [...given];
      return run(past.to("float64"))(
        ...inputs.map((input) => (input === null ? null : rest.shift()!)),
      );
    };
    expect(
      gradcheck(
        compute,
        inputs.filter((input) => input !== null),
      ),
    ).toEqual([]);
  }
});

test.each(SHAPES)(
  "%j is libtorch's convolution in float32 within 3e-6, in float64 within 1e-13",
  (shape) => {
    for (const biases of [
      [true, true],
      [false, false],
    ]) {
      for (const [dtype, tolerance] of [
        ["float32", 3e-6],
        ["float64", 1e-13],
      ] as const) {
        const given = problem(shape, biases);
        const past = given.past.to(dtype);
        const inputs = leaves(given.inputs, dtype);
        const expected = derive(convolved(past), inputs);
        const got = derive(run(past), inputs);
        expect(got.length).toBe(expected.length);
        got.forEach((tensor, i) => {
          expect(tensor.shape).toEqual(expected[i]!.shape);
          expect(tensor.dtype).toBe(dtype);
          expect(distance(tensor, expected[i]!), `${dtype} ${i}`).toBeLessThan(tolerance);
        });
        const plain = torch.noGrad(() => run(past)(...inputs));
        expect(distance(plain, expected[0]!)).toBeLessThan(tolerance);
      }
    }
  },
);

test.each(SHAPES)(
  "%j in bfloat16 is no further from float64 than 1.1 times libtorch's",
  (shape) => {
    const { past, inputs } = problem(shape);
    const exact = derive(convolved(past.to("float64")), leaves(inputs, "float64"));
    const theirs = lowered(() => derive(joined(past), inputs));
    const ours = lowered(() => derive(run(past), inputs));
    expect(ours.map((tensor) => tensor.dtype)).toEqual(["bfloat16", ...Array(5).fill("float32")]);
    ours.forEach((tensor, i) => {
      // Errors of a few numbers may cancel in the one and add up in the other.
      const allowed = Math.max(1.1 * distance(theirs[i]!, exact[i]!), 4e-3);
      expect(distance(tensor, exact[i]!), `${i}`).toBeLessThan(allowed);
    });
  },
);

const SMALL: Shape = { rows: 3, length: 23, dilation: 4, channels: 12, hidden: 18, out: 10 };

test("a gradient of x in bfloat16 where x is, and none where none is asked for", () => {
  const { past, inputs } = problem(SMALL) as { past: Tensor; inputs: Tensor[] };
  const half = [inputs[0]!.detach().to("bfloat16").requiresGrad_(true), ...inputs.slice(1)];
  expect(lowered(() => derive(run(past), half))[1]!.dtype).toBe("bfloat16");
  const all = derive(run(past), inputs).slice(1);
  for (let only = 0; only < inputs.length; only++) {
    const alone = inputs.map((input, i) => input.detach().requiresGrad_(i === only));
    const y = run(past)(...alone);
    torch.manualSeed(7);
    const weights = torch.randn(y.shape, { dtype: "float64" }).to("float32");
    const [gradient] = torch.autograd.grad([y], [alone[only]!], { gradOutputs: [weights] });
    expect(identical(gradient!, all[only]!)).toBe(true);
  }
});

test("a past that asks for a gradient has one", () => {
  const { past, inputs } = problem(SMALL);
  const both = (compute: (past: Tensor) => Compute) => {
    const start = leaf(past, "float64");
    const y = compute(start)(...leaves(inputs, "float64"));
    return torch.autograd.grad([y.square().sum()], [start])[0]!;
  };
  expect(distance(both(run), both(convolved))).toBeLessThan(1e-13);
});

test("second derivatives are the composition's", () => {
  const twice = (of: (past: Tensor) => Compute) => {
    const given = problem({ rows: 2, length: 6, dilation: 2, channels: 4, hidden: 5, out: 3 });
    const inputs = leaves(given.inputs, "float64") as Tensor[];
    const y = of(given.past.to("float64"))(...inputs);
    const first = torch.autograd.grad([y.square().sum()], inputs, { createGraph: true });
    const sum = first.reduce((total, g) => total.add(g!.square().sum()), torch.zeros([]));
    return torch.autograd.grad([sum], inputs).map((g) => g!);
  };
  const expected = twice(convolved);
  twice(run).forEach((g, i) => {
    expect(distance(g, expected[i]!)).toBeLessThan(1e-12);
  });
});

test("block by block as the whole", () => {
  const { past, inputs } = problem(SMALL);
  const [x, ...rest] = inputs as Tensor[];
  const expected = torch.noGrad(() => run(past)(...inputs));
  let [before, at] = [past, 0];
  for (const length of [1, 7, 2, 13]) {
    const block = x!.detach().narrow(1, at, length);
    const y = torch.noGrad(() => run(before)(block, ...rest));
    expect(distance(y, expected.narrow(1, at, length))).toBeLessThan(3e-6);
    before = torch.cat([before, block], 1).narrow(1, length, SMALL.dilation);
    at += length;
  }
});

test("the same for any number of threads, and nothing needs to be contiguous", () => {
  const threads = torch.getNumThreads();
  try {
    const shape = { rows: 9, length: 70, dilation: 5, channels: 64, hidden: 128, out: 66 };
    const { past, inputs } = problem(shape);
    const turn = (tensor: Tensor) =>
      tensor.detach().transpose(0, -1).contiguous().transpose(0, -1).requiresGrad_(true);
    const turned = inputs.map((input) => (input!.dim() > 1 ? turn(input!) : input));
    const results = [1, 2, 3].map((count) => {
      torch.setNumThreads(count);
      return [derive(run(past), inputs), lowered(() => derive(run(past), inputs))].flat();
    });
    const strided = turn(past).detach();
    expect([turned[0]!.isContiguous(), strided.isContiguous()]).toEqual([false, false]);
    results.push(
      [derive(run(strided), turned), lowered(() => derive(run(strided), turned))].flat(),
    );
    for (const other of results.slice(1)) {
      other.forEach((got, i) => {
        expect(identical(got, results[0]![i]!), `${i}`).toBe(true);
      });
    }
  } finally {
    torch.setNumThreads(threads);
  }
});

test("no rows, no positions, no channels, and odd numbers of them", () => {
  for (const change of [
    { rows: 0 },
    { length: 0 },
    { out: 0 },
    { hidden: 7 },
    { channels: 5 },
    { out: 9 },
  ]) {
    const { past, inputs } = problem({ ...SMALL, ...change });
    const expected = derive(joined(past), inputs);
    const check = (got: Tensor[], tolerance: number) =>
      got.forEach((tensor, i) => {
        expect(tensor.shape).toEqual(expected[i]!.shape);
        if (tensor.numel() > 0) expect(distance(tensor, expected[i]!)).toBeLessThan(tolerance);
      });
    check(derive(run(past), inputs), 3e-6);
    check(
      lowered(() => derive(run(past), inputs)),
      2e-2,
    );
  }
});

describe("wrong arguments are told", () => {
  const [x, past] = [torch.zeros([2, 3, 4]), torch.zeros([2, 1, 4])];
  const [w1, b1, w2, b2] = [[12, 8], [12], [5, 6], [5]].map((shape) => torch.zeros(shape)) as [
    Tensor,
    Tensor,
    Tensor,
    Tensor,
  ];
  test.each<[message: RegExp, call: () => Tensor]>([
    [/x must be of a floating-point type, got Long/, () => fused(x.long(), past, w1, b1, w2, b2)],
    [
      /x must have shape \(batch, time, channels\), got \[4\]/,
      () => fused(x.at(0, 0), past, w1, b1, w2, b2),
    ],
    [
      /past must be of a floating-point type, got Long/,
      () => fused(x, past.long(), w1, b1, w2, b2),
    ],
    [
      /past must have shape \(2, dilation, 4\).*got \[2, 0, 4\]/,
      () => fused(x, past.narrow(1, 0, 0), w1, b1, w2, b2),
    ],
    [
      /past must have shape \(2, dilation, 4\).*got \[1, 1, 4\]/,
      () => fused(x, past.narrow(0, 0, 1), w1, b1, w2, b2),
    ],
    [/past must be on the device of x, cpu/, () => fused(x, past.to("meta"), w1, b1, w2, b2)],
    [/w1 must have shape \(out, 8\).*got \[5, 6\]/, () => fused(x, past, w2, b1, w2, b2)],
    [
      /w1 must have an even number of rows.*got \[11, 8\]/,
      () => fused(x, past, w1.narrow(0, 0, 11), null, w2, b2),
    ],
    [/b1 must have shape \(12\), got \[5\]/, () => fused(x, past, w1, b2, w2, b2)],
    [/w2 must have shape \(out, 6\).*got \[12, 8\]/, () => fused(x, past, w1, b1, w1, b2)],
    [/b2 must have shape \(5\), got \[12\]/, () => fused(x, past, w1, b1, w2, b1)],
  ])("%s", (message, call) => {
    expect(call).toThrow(message);
  });
});

test.each(CAPABILITIES)("the same on lesser CPUs: %j", (environment) => {
  const { float32, bfloat16 } = deriveOn(environment, "gated_conv");
  expect(float32).toBeLessThan(2e-6);
  expect(bfloat16).toBeLessThan(1e-2);
});
