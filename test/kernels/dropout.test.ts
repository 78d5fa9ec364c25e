import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { type DType, type Tensor, torch } from "../../lib/index.js";
import { python } from "../python.js";
import { CAPABILITIES } from "./capability.js";
import { distance, identical, leaf } from "./compare.js";
import { gradcheck } from "./gradcheck.js";

const dropoutMask = torch.ops.find("wavegpt::dropout_mask.default") as (
  size: readonly number[],
  p: number,
  seed: number | bigint,
  options?: { dtype?: DType },
) => Tensor;
const dropout = torch.ops.find("wavegpt::dropout.default") as (
  x: Tensor,
  p: number,
  train: boolean,
) => Tensor;

/** Philox4x32-10 by its definition, and from it the elements that are kept. */
const PHILOX = `
import json, sys

def philox(counter, key):
    low = 0xFFFFFFFF
    x = [counter >> 32 * i & low for i in range(4)]
    k = [key & low, key >> 32]
    for _ in range(10):
        a, b = x[0] * 0xD2511F53, x[2] * 0xCD9E8D57
        x = [b >> 32 ^ x[1] ^ k[0], b & low, a >> 32 ^ x[3] ^ k[1], a & low]
        k = [k[0] + 0x9E3779B9 & low, k[1] + 0xBB67AE85 & low]
    return x

answer = philox(0, 0)
assert ["%08x" % word for word in answer] == ["6627e8d5", "e169c58d", "bc57ac4c", "9b00dbd8"], answer

def kept(count, p, seed):
    threshold = round(p * 65536)
    for i in range(count):
        group, element = divmod(i, 128)
        number, lane = divmod(element, 16)
        word = philox(16 * group + lane, seed)[number // 2]
        yield int((word >> 16 * (number % 2) & 0xFFFF) >= threshold)

print(json.dumps([list(kept(count, p, int(seed))) for count, p, seed in json.loads(sys.argv[1])]))
`;

const keptOf = (mask: Tensor) => Array.from(mask.ne(0).to("float32").toTypedArray(), Number);

describe("the mask", () => {
  test("is Philox4x32-10's of seed and index", () => {
    const cases: [number, number, bigint][] = [
      [1, 0.5, 0n],
      [300, 0.2, 0n],
      [1000, 0.5, 0x0123456789abcdefn],
      [257, 0.999, 1n],
      [2049, 0.1, 0xffffffffffffffffn],
      [640, 0.3, 0x8000000000000000n],
    ];
    const text = cases.map(([count, p, seed]) => [count, p, `${seed}`]);
    const expected = JSON.parse(python(PHILOX, JSON.stringify(text))) as number[][];
    cases.forEach(([count, p, seed], i) => {
      for (const dtype of ["float32", "float64"] as const) {
        const mask = dropoutMask([count], p, BigInt.asIntN(64, seed), { dtype });
        expect(keptOf(mask)).toEqual(expected[i]);
      }
    });
  });

  test("scales what it keeps by the inverse of the share that is kept", () => {
    for (const p of [0.1, 0.2, 0.5, 0.75]) {
      const scale = Math.fround(65536 / (65536 - Math.round(p * 65536)));
      const values = new Set(dropoutMask([5000], p, 3).toTypedArray() as Float32Array);
      expect(values).toEqual(new Set([0, scale]));
    }
    expect(torch.equal(dropoutMask([500], 0, 3), torch.ones([500]))).toBe(true);
    expect(torch.equal(dropoutMask([500], 1, 3), torch.zeros([500]))).toBe(true);
    expect(dropoutMask([2, 0, 3], 0.5, 3).shape).toEqual([2, 0, 3]);
  });

  test("depends on the index alone, not on shape or type", () => {
    const flat = dropoutMask([6 * 35], 0.4, 12);
    expect(identical(dropoutMask([6, 35], 0.4, 12), flat.reshape([6, 35]))).toBe(true);
    expect(
      identical(dropoutMask([6 * 35], 0.4, 12, { dtype: "bfloat16" }), flat.to("bfloat16")),
    ).toBe(true);
    expect(identical(dropoutMask([77], 0.4, 12), flat.narrow(0, 0, 77))).toBe(true);
  });
});

const COUNT = 1 << 20;

/** Kept or not as numbers of mean 0 and variance 1. */
function standardized(p: number, seed: number): Tensor {
  return dropoutMask([COUNT], p, seed, { dtype: "float64" })
    .ne(0)
    .to("float64")
    .sub(1 - p)
    .div(Math.sqrt(p * (1 - p)));
}

describe("statistics", () => {
  test.each([0.05, 0.2, 0.5, 0.9])("of rate %d: as many are dropped as are to be", (p) => {
    // Of 16 bits, p is exact to 2^-17, less than a hundredth of what is allowed.
    const sum = standardized(p, 77).sum().number();
    expect(Math.abs(sum)).toBeLessThan(5 * Math.sqrt(COUNT));
  });

  test("neighbours, near and far, are independent", () => {
    for (const seed of [1, 2]) {
      const kept = standardized(0.2, seed);
      for (const lag of [1, 2, 8, 15, 16, 17, 32, 64, 127, 128, 256, 8192]) {
        const pairs = COUNT - lag;
        const product = kept
          .narrow(0, 0, pairs)
          .mul(kept.narrow(0, lag, pairs))
          .sum()
          .number();
        expect(Math.abs(product), `seed ${seed}, lag ${lag}`).toBeLessThan(5 * Math.sqrt(pairs));
      }
    }
  });

  test("successive seeds are independent", () => {
    const seeds = [0, 1, 2, 3, 2 ** 32, 2 ** 32 + 1].map((seed) => standardized(0.2, seed));
    for (const [i, a] of seeds.entries()) {
      for (const b of seeds.slice(i + 1)) {
        expect(Math.abs(a.mul(b).sum().number())).toBeLessThan(5 * Math.sqrt(COUNT));
      }
    }
  });

  test("every one of 128 places in a row is dropped as often", () => {
    const columns = standardized(0.2, 5).reshape([-1, 128]);
    const sums = columns.sum([0]).div(Math.sqrt(COUNT / 128));
    expect(sums.abs().max().number()).toBeLessThan(5);
    // Their squares add up to 128 on average, give or take 16.
    expect(Math.abs(sums.square().sum().number() - 128)).toBeLessThan(5 * 16);
  });
});

describe("the seed", () => {
  test("is drawn from torch's generator: manualSeed gives the same again, and the next is another", () => {
    const x = torch.ones([4, 500]);
    torch.manualSeed(21);
    const [first, second] = [dropout(x, 0.3, true), dropout(x, 0.3, true)];
    torch.manualSeed(21);
    expect(identical(dropout(x, 0.3, true), first)).toBe(true);
    expect(identical(second, first)).toBe(false);
    const state = torch.getRngState();
    const third = dropout(x, 0.3, true);
    torch.setRngState(state);
    expect(identical(dropout(x, 0.3, true), third)).toBe(true);
  });

  test("is one number of 64 bits", () => {
    torch.manualSeed(21);
    const seed = torch
      .zeros([1], { dtype: "int64" })
      .random_(-(2n ** 63n), null)
      .item() as bigint;
    torch.manualSeed(21);
    const dropped = dropout(torch.ones([1000]), 0.3, true);
    expect(identical(dropped, dropoutMask([1000], 0.3, seed))).toBe(true);
  });

  test("is not drawn where nothing is dropped", () => {
    const x = torch.randn([50]);
    const before = torch.getRngState();
    expect(identical(dropout(x, 0, true), x)).toBe(true);
    expect(identical(dropout(x, 0.5, false), x)).toBe(true);
    expect(identical(torch.getRngState(), before)).toBe(true);
  });
});

describe("dropout", () => {
  const seeded = (x: Tensor) => {
    torch.manualSeed(8);
    return dropout(x, 0.4, true);
  };

  test("gradients pass in float64, twice", () => {
    const x = leaf(torch.randn([3, 67]), "float64");
    expect(gradcheck((a) => seeded(a!), [x])).toEqual([]);
    const [first] = torch.autograd.grad([seeded(x).square().sum()], [x], { createGraph: true });
    const [second] = torch.autograd.grad([first!.sum()], [x]);
    const mask = seeded(torch.ones([3, 67], { dtype: "float64" }));
    expect(distance(second!, mask.square().mul(2))).toBeLessThan(1e-12);
  });

  test.each([[[1]], [[7, 13]], [[3, 128]], [[5, 129]], [[0, 4]], [[]]])(
    "%o in every type",
    (shape) => {
      for (const dtype of ["float32", "bfloat16", "float16", "float64"] as const) {
        const x = leaf(torch.randn(shape), dtype);
        const y = seeded(x);
        const mask = seeded(torch.ones(shape, { dtype: "float64" }));
        expect([y.dtype, y.shape]).toEqual([dtype, shape]);
        const tolerance = dtype.endsWith("16") ? 5e-3 : 1e-6;
        expect(distance(y.detach(), x.detach().double().mul(mask))).toBeLessThan(tolerance);
        const [dX] = torch.autograd.grad([y.sum()], [x]);
        expect(dX!.dtype).toBe(dtype);
        expect(distance(dX!, mask)).toBeLessThan(tolerance);
      }
    },
  );

  test("of what is not contiguous drops by the index in order", () => {
    const x = torch.randn([40, 6]).t();
    expect(x.isContiguous()).toBe(false);
    expect(identical(seeded(x), seeded(x.contiguous()))).toBe(true);
  });

  test("refuses other types and rates", () => {
    const x = torch.ones([3]);
    expect(() => dropout(x.to("int64"), 0.5, true)).toThrow(
      /wavegpt::dropout: x must be of a floating-point type, got Long/,
    );
    expect(() => dropout(x, -0.1, true)).toThrow(/p must be from 0 to 1, got -0.1/);
    expect(() => dropoutMask([3], Number.NaN, 0)).toThrow(/p must be from 0 to 1, got nan/);
    expect(() => dropoutMask([3], 0.5, 0, { dtype: "int64" })).toThrow(
      /dtype must be a floating-point type, got Long/,
    );
    expect(() => dropoutMask([-1], 0.5, 0)).toThrow(/sizes must not be negative/);
  });
});

test("every build of the kernels drops the same, on one and two threads", () => {
  const script = fileURLToPath(new URL("./dropout-capability.mjs", import.meta.url));
  const digestOn = (environment: Readonly<Record<string, string>>, threads: number) =>
    execFileSync(process.execPath, [script, `${threads}`], {
      env: { ...process.env, ...environment },
      encoding: "utf8",
    });
  const digests = [{}, ...CAPABILITIES.slice(0, 2)].flatMap((environment) =>
    [1, 2].map((threads) => digestOn(environment, threads)),
  );
  expect(digests[0]).toMatch(/^[0-9a-f]{64}$/);
  expect(new Set(digests).size).toBe(1);
});
