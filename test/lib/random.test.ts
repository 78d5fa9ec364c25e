import { describe, expect, test } from "vitest";
import { type Tensor, torch, type WaveGPTError } from "../../lib/index.js";
import { python } from "../python.js";
import { difference, type Recorded } from "./replay.js";

// Each line draws from the stream that the ones before left behind.
const DRAWS: [draw: () => Tensor, source: string][] = [
  [() => torch.randn([5]), "torch.randn(5)"],
  [() => torch.randn([100, 3]), "torch.randn(100, 3)"],
  [() => torch.randn([17], { dtype: "float64" }), "torch.randn(17, dtype=torch.float64)"],
  [() => torch.randn([20], { dtype: "bfloat16" }), "torch.randn(20, dtype=torch.bfloat16)"],
  [() => torch.randn([20], { dtype: "float16" }), "torch.randn(20, dtype=torch.float16)"],
  [() => torch.randn([5], { dtype: "complex64" }), "torch.randn(5, dtype=torch.complex64)"],
  [() => torch.rand([33]), "torch.rand(33)"],
  [() => torch.randint(10, [7]), "torch.randint(10, (7,))"],
  [() => torch.randint(-5, 5, [3, 3]), "torch.randint(-5, 5, (3, 3))"],
  [() => torch.randperm(50), "torch.randperm(50)"],
  [() => torch.bernoulli(torch.full([30], 0.3)), "torch.bernoulli(torch.full((30,), 0.3))"],
  [
    () => torch.multinomial(torch.tensor([1, 2, 3, 4]), 20, { replacement: true }),
    "torch.multinomial(torch.tensor([1., 2, 3, 4]), 20, replacement=True)",
  ],
  [() => torch.dropout(torch.ones([64]), 0.2, true), "torch.dropout(torch.ones(64), 0.2, True)"],
  [
    () => torch.normal(torch.zeros([4]), torch.ones([4])),
    "torch.normal(torch.zeros(4), torch.ones(4))",
  ],
  [() => torch.normal(1, 2, [4]), "torch.normal(1.0, 2.0, (4,))"],
  [() => torch.empty([9]).uniform_(-2, 3), "torch.empty(9).uniform_(-2, 3)"],
  [() => torch.empty([9]).normal_(1, 0.02), "torch.empty(9).normal_(1, 0.02)"],
  [() => torch.empty([9]).exponential_(), "torch.empty(9).exponential_()"],
  [() => torch.empty([9]).geometric_(0.4), "torch.empty(9).geometric_(0.4)"],
  [() => torch.empty([9]).bernoulli_(0.4), "torch.empty(9).bernoulli_(0.4)"],
  [() => torch.randnLike(torch.ones([3, 5])), "torch.randn_like(torch.ones(3, 5))"],
  [
    () => torch.rand([4], { generator: new torch.Generator().manualSeed(5) }),
    "torch.rand(4, generator=torch.Generator().manual_seed(5))",
  ],
  [() => torch.poisson(torch.full([6], 3.5)), "torch.poisson(torch.full((6,), 3.5))"],
  [
    () => torch.rrelu(torch.randn([8]), { training: true }),
    "torch.rrelu(torch.randn(8), training=True)",
  ],
];

const SEEDS = [0n, 1n, 1337n, 2n ** 40n + 3n, -1n, 2n ** 63n];

const expected = JSON.parse(
  python(
    `
import json, sys
sys.path.insert(0, sys.argv[1])
import torch
from recorded import encode
streams = []
for seed in [${SEEDS.join(", ")}]:
    torch.manual_seed(seed)
    streams.append([encode(draw()) for draw in [${DRAWS.map(([, source]) => `lambda: ${source}`).join(", ")}]])
g = torch.Generator().manual_seed(11)
torch.manual_seed(3)
own = [encode(t) for t in [torch.randn(4, generator=g), torch.rand(3), torch.randperm(6, generator=g), torch.rand(3, generator=g)]]
torch.manual_seed(9)
torch.rand(3)
state = torch.get_rng_state().view(torch.int64)
print(json.dumps({"streams": streams, "own": own, "state": state.tolist(), "next": encode(torch.randn(20))}))`,
    import.meta.dirname,
  ),
) as { streams: Recorded[][]; own: Recorded[]; state: number[]; next: Recorded };

describe("manualSeed", () => {
  test("gives PyTorch's own streams", () => {
    for (const [row, seed] of SEEDS.entries()) {
      torch.manualSeed(seed);
      for (const [column, [draw, source]] of DRAWS.entries()) {
        torch.tidy(() => {
          const found = difference(draw(), expected.streams[row]![column]!);
          expect([seed, source, found]).toEqual([seed, source, null]);
        });
      }
    }
  });

  test("takes numbers and bigints of 64 bits", () => {
    torch.manualSeed(42);
    const numbers = torch.rand([3]).tolist();
    torch.manualSeed(42n);
    expect(torch.rand([3]).tolist()).toEqual(numbers);
    expect(torch.initialSeed()).toBe(42n);
    for (const [seed, message] of [
      [1.5, /integer/],
      [2n ** 64n, /64 bits/],
      ["1", /got string "1"/],
    ] as const) {
      expect(() => torch.manualSeed(seed as number)).toThrow(message);
    }
  });
});

describe("Generator", () => {
  test("has a stream of its own, Python's", () => {
    const generator = new torch.Generator().manualSeed(11);
    torch.manualSeed(3);
    const results = [
      torch.randn([4], { generator }),
      torch.rand([3]),
      torch.randperm(6, { generator }),
      torch.rand([3], { generator }),
    ];
    expect(results.map((result, at) => difference(result, expected.own[at]!))).toEqual([
      null,
      null,
      null,
      null,
    ]);
    expect([generator.initialSeed(), generator.device]).toEqual([11n, "cpu"]);
  });

  test("restores a state", () => {
    const generator = new torch.Generator().manualSeed(1);
    torch.rand([5], { generator });
    const state = generator.getState();
    const first = torch.rand([5], { generator }).tolist();
    expect(torch.rand([5], { generator }).tolist()).not.toEqual(first);
    expect(torch.rand([5], { generator: generator.setState(state) }).tolist()).toEqual(first);
    expect(state.dtype).toBe("uint8");
  });

  test("draws seeds of its own", () => {
    const generator = new torch.Generator();
    const seeds = new Set([generator.seed(), generator.seed(), generator.seed()]);
    expect(seeds.size).toBe(3);
    expect(seeds.has(generator.initialSeed())).toBe(true);
  });

  test("throws for what is none, and after its end", () => {
    const generator = new torch.Generator();
    generator.dispose();
    expect(() => torch.rand([2], { generator })).toThrow(/generator/);
    expect(() => new torch.Generator("nowhere!")).toThrow(/device/);
    const error = (() => {
      try {
        return torch.rand([2], { generator: torch.ones([1]) as never });
      } catch (caught) {
        return caught as WaveGPTError;
      }
    })() as WaveGPTError;
    expect(error.message).toMatch(
      /argument 'generator' expected a torch\.Generator or null, got Tensor float32 \[1\]/,
    );
  });
});

test("the default generator's state is kept and set, in Python's own form", () => {
  torch.manualSeed(9);
  torch.rand([3]);
  const state = torch.getRngState();
  expect(state.view("int64").tolist()).toEqual(expected.state);
  torch.rand([100]);
  torch.setRngState(state);
  expect(difference(torch.randn([20]), expected.next)).toBeNull();
});
