import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { binding } from "../../lib/binding.js";
import { aten, errorOf } from "./operator.js";

let depth = 0;
beforeEach(() => {
  depth = binding.openScope();
});
afterEach(() => {
  binding.closeScope(depth);
});

const randn = aten("randn");
const add = aten("add", "Tensor");

describe("errors name the operator, the argument, what was expected and what came", () => {
  test.each<[string, () => unknown, { operator?: string; argument?: string }, string]>([
    [
      "a missing argument",
      () => add(randn([2])),
      { operator: "aten::add.Tensor", argument: "other" },
      "argument 'other' expected a value (Tensor), got nothing",
    ],
    [
      "a wrong type",
      () => add(randn([2]), "two"),
      { operator: "aten::add.Tensor", argument: "other" },
      'expected a Tensor, got string "two"',
    ],
    [
      "a list that is none",
      () => aten("cat")(randn([2])),
      { operator: "aten::cat", argument: "tensors" },
      "expected Tensor[], got number",
    ],
    [
      "a fraction where an integer belongs",
      () => aten("transpose", "int")(randn([2, 2]), 0.5, 1),
      { operator: "aten::transpose.int", argument: "dim0" },
      "expected an integer, got number 0.5",
    ],
    [
      "an unknown device",
      () => aten("zeros")([2], undefined, undefined, "gpu"),
      { operator: "aten::zeros", argument: "device" },
      "expected a device such as",
    ],
    [
      "a dtype code out of range",
      () => aten("zeros")([2], 500),
      { operator: "aten::zeros", argument: "dtype" },
      "got 500",
    ],
    [
      "too many arguments",
      () => aten("neg")(randn([2]), 1, 2),
      { operator: "aten::neg" },
      "expected at most 1 arguments, got 3",
    ],
    [
      "a window of more than 32 bits",
      () => aten("max_pool1d")(randn([2, 3]), [2n ** 63n - 1n]),
      { operator: "aten::max_pool1d", argument: "kernel_size" },
      "expected an integer of 32 bits",
    ],
    [
      "an out tensor that is an input too",
      () => {
        const x = randn([2, 2]);
        return aten("mm", "out")(x, randn([2, 2]), x);
      },
      { operator: "aten::mm.out", argument: "out" },
      "shares no memory with another argument",
    ],
  ])("%s", (_, action, properties, words) => {
    const error = errorOf(action);
    expect(error).toMatchObject({ code: "ERR_WAVEGPT_ARGUMENT", ...properties });
    expect(error.message).toContain(words);
    expect(error).toBeInstanceOf(Error);
  });

  test("libtorch's own errors come with the operator, without its stack", () => {
    const error = errorOf(() => aten("mm")(randn([2, 3]), randn([2, 3])));
    expect(error).toMatchObject({ code: "ERR_WAVEGPT_LIBTORCH", operator: "aten::mm" });
    expect(error.message).toBe("aten::mm: mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)");
  });

  test("a device that is not there", (context) => {
    if (binding.cudaIsAvailable()) context.skip("this machine has a CUDA device");
    const error = errorOf(() => aten("zeros")([2], undefined, undefined, "cuda"));
    expect(error.code).toMatch(/^ERR_WAVEGPT_(NOT_IMPLEMENTED|LIBTORCH)$/);
    expect(error.operator).toBe("aten::zeros");
  });

  test("memory that cannot be had is an error, and the next call works", () => {
    for (const size of [1e14, 2 ** 53 - 1]) {
      const error = errorOf(() => aten("empty", "memory_format")([size]));
      expect(error.code).toMatch(/^ERR_WAVEGPT_(OUT_OF_MEMORY|LIBTORCH)$/);
    }
    expect(binding.shape(randn([2]))).toEqual([2]);
  });

  test("an unknown operator is null, an unknown id an error", () => {
    expect(binding.findOperator("aten::no_such_operator", "")).toBeNull();
    expect(errorOf(() => binding.call(1e9)).code).toBe("ERR_WAVEGPT_ARGUMENT");
    expect(errorOf(() => (binding.call as (...args: unknown[]) => unknown)()).message).toContain(
      "got nothing",
    );
  });

  test("a getter in an array may call operators, or dispose what was passed", () => {
    const first = randn([2]);
    const list: number[] = [first, 0];
    Object.defineProperty(list, 1, {
      get: () => {
        const sum = add(first, first);
        binding.release(first);
        return sum;
      },
    });
    expect(binding.shape(aten("cat")(list))).toEqual([4]);
    const thrower: number[] = [0];
    Object.defineProperty(thrower, 0, {
      get: () => {
        throw new RangeError("from the getter");
      },
    });
    expect(() => aten("cat")(thrower)).toThrow(RangeError);
    expect(binding.shape(randn([3]))).toEqual([3]);
  });

  test("a backward through what cannot be differentiated is an error", () => {
    const x = randn([2]);
    const backward = (outputs: number[]) => binding.backward(outputs, null, false, false, null);
    expect(errorOf(() => backward([x])).message).toContain("does not require grad");
    binding.setRequiresGrad(x, true);
    expect(errorOf(() => backward([add(x, x)])).message).toContain("scalar");
    const loss = aten("sum")(aten("mul", "Tensor")(x, x));
    backward([loss]);
    expect(errorOf(() => backward([loss])).code).toBe("ERR_WAVEGPT_LIBTORCH");
  });

  test("the fused optimizer steps check their lists", () => {
    const step = aten("_fused_adamw_");
    const options = [1e-3, 0.9, 0.999, 0.01, 1e-8, false, false];
    const like = (shape: number[]) => randn(shape);
    const steps = aten("zeros")([]);
    const short = errorOf(() =>
      step([like([2])], [], [like([2])], [like([2])], [], [steps], ...options),
    );
    expect(short).toMatchObject({ code: "ERR_WAVEGPT_ARGUMENT", argument: "grads" });
    const misshapen = errorOf(() =>
      step([like([2])], [like([3])], [like([2])], [like([2])], [], [steps], ...options),
    );
    expect(misshapen).toMatchObject({ argument: "grads[0]" });
    expect(misshapen.message).toContain("expected a tensor like its parameter: Float [2]");
    expect(
      step([like([2])], [like([2])], [like([2])], [like([2])], [], [steps], ...options),
    ).toBeUndefined();
  });
});

describe("lists, flat", () => {
  const view = binding.findOperator("aten::view", "")?.id ?? -1;
  const cat = binding.findOperator("aten::cat", "")?.id ?? -1;
  const index = binding.findOperator("aten::index", "Tensor")?.id ?? -1;

  test("stand as their length and their elements", () => {
    const x = aten("arange")(6);
    expect(binding.shape(binding.callFlat(view, x, 2, 3, 2) as number)).toEqual([3, 2]);
    expect(binding.shape(binding.callFlat(cat, 2, x, x, 0) as number)).toEqual([12]);
    expect(binding.shape(binding.callFlat(cat, [x, x, x]) as number)).toEqual([18]);
    const grid = binding.callFlat(view, x, 2, 3, 2) as number;
    const column = binding.fromTypedArray(new BigInt64Array([1n]), [1], 4);
    expect(binding.shape(binding.callFlat(index, grid, 2, null, column) as number)).toEqual([3, 1]);
  });

  test.each([
    ["longer than what follows", () => binding.callFlat(view, randn([4]), 3, 2, 2), "a length of"],
    ["of negative length", () => binding.callFlat(view, randn([4]), -1), "a length of"],
    ["with something left over", () => binding.callFlat(view, randn([4]), 1, 4, 9), "at most 2"],
    ["not there", () => binding.callFlat(view, randn([4])), "got nothing"],
  ])("%s is an error", (_, action, words) => {
    const error = errorOf(action);
    expect(error.code).toBe("ERR_WAVEGPT_ARGUMENT");
    expect(error.message).toContain(words);
  });
});
