import { spawnSync } from "node:child_process";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { binding } from "../../lib/binding.js";
import type { NativeTypedArray } from "../../lib/native.js";
import { packageRoot } from "../../lib/package-root.js";
import { aten, errorOf } from "./operator.js";

let depth = 0;
beforeEach(() => {
  depth = binding.openScope();
});
afterEach(() => {
  binding.closeScope(depth);
});

// ScalarType codes of libtorch's c10/core/ScalarType.h.
const DTYPES: [name: string, code: number, data: NativeTypedArray, width: number][] = [
  ["uint8", 0, new Uint8Array([0, 1, 255, 7]), 1],
  ["int8", 1, new Int8Array([0, -128, 127, 7]), 1],
  ["int16", 2, new Int16Array([0, -32768, 32767, 7]), 1],
  ["int32", 3, new Int32Array([0, -(2 ** 31), 2 ** 31 - 1, 7]), 1],
  ["int64", 4, new BigInt64Array([0n, -(2n ** 63n), 2n ** 63n - 1n, 7n]), 1],
  ["float16", 5, new Uint16Array([0, 0x3c00, 0x7c00, 0x8001]), 1],
  ["float32", 6, new Float32Array([0, -1.5, Number.POSITIVE_INFINITY, 1e-45]), 1],
  ["float64", 7, new Float64Array([0, -1.5, 5e-324, 1e308]), 1],
  ["complex64", 9, new Float32Array([0, 1, -2, 3.5]), 2],
  ["complex128", 10, new Float64Array([0, 1, -2, 3.5]), 2],
  ["bool", 11, new Uint8Array([0, 1, 1, 0]), 1],
  ["bfloat16", 15, new Uint16Array([0, 0x3f80, 0x7f80, 0x8001]), 1],
  ["float8_e5m2", 23, new Uint8Array([0, 1, 0x3c, 0x80]), 1],
  ["float8_e4m3fn", 24, new Uint8Array([0, 1, 0x38, 0x80]), 1],
  ["uint16", 27, new Uint16Array([0, 65535, 1, 7]), 1],
  ["uint32", 28, new Uint32Array([0, 2 ** 32 - 1, 1, 7]), 1],
  ["uint64", 29, new BigUint64Array([0n, 2n ** 64n - 1n, 1n, 7n]), 1],
];

describe("typed arrays", () => {
  test.each(DTYPES)("%s goes in and out bit for bit", (_, code, data, width) => {
    const shape = [data.length / width / 2, 2];
    const copied = binding.fromTypedArray(data, shape, code);
    expect(binding.dtype(copied)).toBe(code);
    expect(binding.shape(copied)).toEqual(shape);
    expect(binding.toTypedArray(copied)).toEqual(data);
    const shared = binding.fromSharedTypedArray(data, shape, code);
    expect(binding.toTypedArray(shared)).toEqual(data);
    expect(binding.shareTypedArray(copied)).toEqual(data);
  });

  test("a copied array is the tensor's own, a shared one is not", () => {
    const data = new Float32Array([1, 2, 3]);
    const copied = binding.fromTypedArray(data, [3], 6);
    const shared = binding.fromSharedTypedArray(data, [3], 6);
    data[0] = 10;
    expect([...(binding.toTypedArray(copied) as Float32Array)]).toEqual([1, 2, 3]);
    expect([...(binding.toTypedArray(shared) as Float32Array)]).toEqual([10, 2, 3]);
    aten("mul_", "Scalar")(shared, 2);
    expect([...data]).toEqual([20, 4, 6]);
  });

  test("a view of a buffer is read from its offset", () => {
    const buffer = new Float32Array([0, 1, 2, 3, 4, 5]);
    const tensor = binding.fromTypedArray(buffer.subarray(2, 5), [3], 6);
    expect([...(binding.toTypedArray(tensor) as Float32Array)]).toEqual([2, 3, 4]);
  });

  test("a non-contiguous tensor comes out in its own order", () => {
    const tensor = aten("t")(
      binding.fromTypedArray(new Float32Array([1, 2, 3, 4, 5, 6]), [2, 3], 6),
    );
    expect(binding.isContiguous(tensor)).toBe(false);
    expect([...(binding.toTypedArray(tensor) as Float32Array)]).toEqual([1, 4, 2, 5, 3, 6]);
    expect(errorOf(() => binding.shareTypedArray(tensor)).message).toContain("contiguous");
  });

  test("a shared array writes the tensor, and outlives it", () => {
    const tensor = aten("ones")([4]);
    const array = binding.shareTypedArray(tensor) as Float32Array;
    array[2] = 5;
    expect([...(binding.toTypedArray(tensor) as Float32Array)]).toEqual([1, 1, 5, 1]);
    const again = binding.shareTypedArray(tensor) as Float32Array;
    binding.release(tensor);
    expect([...array]).toEqual([1, 1, 5, 1]);
    expect([...again]).toEqual([1, 1, 5, 1]);
  });

  test("conjugates and negatives are carried out", () => {
    const complex = binding.fromTypedArray(new Float32Array([1, 2]), [1], 9);
    const conjugate = aten("conj")(complex);
    expect([...(binding.toTypedArray(conjugate) as Float32Array)]).toEqual([1, -2]);
    const negative = aten("imag")(conjugate);
    expect([...(binding.toTypedArray(negative) as Float32Array)]).toEqual([-2]);
  });

  test("copyFromTypedArray overwrites in place", () => {
    const tensor = aten("zeros")([2, 2]);
    const version = binding.version(tensor);
    binding.copyFromTypedArray(tensor, new Float32Array([1, 2, 3, 4]));
    expect([...(binding.toTypedArray(tensor) as Float32Array)]).toEqual([1, 2, 3, 4]);
    expect(binding.version(tensor)).toBe(version + 1);
  });

  test("items are numbers, booleans, bigints or complex", () => {
    const make = (data: NativeTypedArray, code: number) => binding.fromTypedArray(data, [1], code);
    expect(binding.item(make(new Float32Array([1.5]), 6))).toBe(1.5);
    expect(binding.item(make(new Uint8Array([1]), 11))).toBe(true);
    expect(binding.item(make(new BigInt64Array([42n]), 4))).toBe(42);
    expect(binding.item(make(new BigInt64Array([2n ** 62n]), 4))).toBe(2n ** 62n);
    expect(binding.item(make(new BigUint64Array([2n ** 64n - 1n]), 29))).toBe(2n ** 64n - 1n);
    const complex = binding.fromTypedArray(new Float64Array([1, -2]), [1], 10);
    expect(binding.item(complex)).toEqual({ re: 1, im: -2 });
  });

  test.each([
    [
      "too few elements",
      () => binding.fromTypedArray(new Float32Array(3), [2, 2], 6),
      "4 elements",
    ],
    ["another element type", () => binding.fromTypedArray(new Int32Array(4), [4], 6), "Float"],
    ["a negative size", () => binding.fromTypedArray(new Float32Array(4), [-4], 6), "-4"],
    [
      "an overflowing shape",
      () => binding.fromTypedArray(new Float32Array(1), [2 ** 40, 2 ** 40], 6),
      "2^63",
    ],
    ["a quantised dtype", () => binding.fromTypedArray(new Uint8Array(1), [1], 13), "QUInt8"],
    ["no dtype at all", () => binding.fromTypedArray(new Uint8Array(1), [1], 99), "99"],
    ["an array", () => binding.fromTypedArray([1] as unknown as Uint8Array, [1], 0), "Array(1)"],
    ["a fraction as size", () => binding.fromTypedArray(new Uint8Array(1), [0.5], 0), "0.5"],
    [
      "a meta tensor",
      () => binding.toTypedArray(aten("empty", "memory_format")([1], 6, 0, "meta")),
      "meta",
    ],
    [
      "a sparse tensor",
      () => binding.toTypedArray(aten("to_sparse")(aten("ones")([2, 2]))),
      "Sparse",
    ],
    ["two elements as an item", () => binding.item(aten("ones")([2])), "one element"],
  ])("%s is refused in words", (_, action, words) => {
    const error = errorOf(action);
    expect(error.code).toMatch(/^ERR_WAVEGPT_/);
    expect(error.message).toContain(words);
  });

  test("shared memory is let go when the tensor is freed, on any thread", () => {
    const script = `
      import { binding } from ${JSON.stringify(path.join(packageRoot(), "dist/lib/binding.js"))};
      let collected = 0;
      const registry = new FinalizationRegistry(() => collected++);
      function share() {
        const data = new Float32Array(1 << 20);
        registry.register(data.buffer);
        binding.release(binding.fromSharedTypedArray(data, [1 << 20], 6));
      }
      for (let at = 0; at < 20; at++) share();
      let array = binding.shareTypedArray(binding.call(binding.findOperator("aten::ones", "").id, [1 << 20]));
      registry.register(array.buffer);
      array = null;
      binding.scopeDepth();
      for (let round = 0; round < 50 && collected < 20; round++) {
        globalThis.gc();
        binding.scopeDepth();
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      console.log(collected >= 20 ? "collected" : "leaked: " + collected);
    `;
    const run = spawnSync(process.execPath, ["--expose-gc", "--input-type=module", "-e", script], {
      encoding: "utf8",
    });
    expect(run.stdout.trim(), run.stderr).toBe("collected");
  });
});

describe("the small-block cache", () => {
  test("serves libtorch's raw allocations too, which oneDNN makes", () => {
    const x = aten("randn")([64, 512]);
    expect(binding.shape(aten("gelu")(x))).toEqual([64, 512]);
    const low = aten("to", "dtype")(x, 15);
    const weight = aten("to", "dtype")(aten("randn")([8, 512]), 15);
    expect(binding.shape(aten("linear")(low, weight))).toEqual([64, 8]);
  });
});
