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

describe("the call frame", () => {
  const header = new Int32Array(binding.frame(), 0, 32);
  const numbers = new Float64Array(binding.frame(), 128, 64);
  const id = (name: string, overload = "") =>
    binding.findOperator(`aten::${name}`, overload)?.id ?? -1;

  function callFrame(operator: number, given: number, values: number[], absent = 0, none = 0) {
    header.set([operator, given, absent, none]);
    numbers.set(values);
    return binding.callFrame();
  }

  function resultOf(...call: Parameters<typeof callFrame>): number {
    expect(callFrame(...call)).toBeUndefined();
    return numbers[0] as number;
  }

  test("takes lists as their length and their elements", () => {
    const x = aten("arange")(6);
    const grid = resultOf(id("view"), 2, [x, 2, 3, 2]);
    expect(binding.shape(grid)).toEqual([3, 2]);
    expect(binding.shape(resultOf(id("cat"), 2, [2, x, x, 0]))).toEqual([12]);
    const column = binding.fromTypedArray(new BigInt64Array([1n]), [1], 4);
    expect(binding.shape(resultOf(id("index", "Tensor"), 2, [grid, 2, 0, column]))).toEqual([3, 1]);
  });

  test("leaves out what the masks say, once", () => {
    const x = aten("ones")([2, 3]);
    const sum = id("sum", "dim_IntList");
    expect(binding.shape(resultOf(sum, 3, [x, 1], 0b000, 0b010))).toEqual([1, 1]);
    expect(binding.shape(resultOf(sum, 3, [x, 1, 1], 0b100))).toEqual([2]);
    expect(binding.shape(resultOf(sum, 3, [x, 1, 1, 1]))).toEqual([2, 1]);
  });

  test("says what came back: a handle, the argument itself, or another value", () => {
    const x = aten("ones")([2]);
    expect(binding.isAlive(resultOf(id("add", "Tensor"), 2, [x, x]))).toBe(true);
    expect(resultOf(id("add_", "Tensor"), 2, [x, x])).toBe(0);
    expect(binding.toTypedArray(x)).toEqual(new Float32Array([2, 2]));
    expect(callFrame(id("equal"), 2, [x, x])).toBe(true);
    expect(callFrame(id("unbind", "int"), 1, [x])).toHaveLength(2);
  });

  test.each([
    ["a list longer than the frame", "view", [0, 63, 2], 2, "a length of"],
    ["a list of negative length", "view", [0, -1], 2, "a length of"],
    ["a list of broken length", "view", [0, 0.5], 2, "a length of"],
    ["a list that is not there", "view", [0], 1, "got nothing"],
    ["too many arguments", "view", [0, 1, 4], 3, "at most 2"],
    ["a negative count", "view", [0, 1, 4], -1, "at most 2"],
    ["a broken size", "view", [0, 1, 4.5], 2, "an integer, got number 4.5"],
    ["a size that is not a number", "view", [0, 1, Number.NaN], 2, "an integer"],
    ["no tensor", "relu", [7], 1, "a Tensor, got number 7"],
    ["a dtype that is none", "cumsum_", [0, 0, 99], 3, "a dtype code, got number 99"],
    ["a list of no tensors", "cat", [0], 1, "at least one Tensor"],
    ["text", "gelu", [0, 1], 2, "carries no text"],
  ])("%s is an error", (_, name, values, given, words) => {
    if (values[0] === 0 && name !== "cat") values[0] = randn([4]);
    const error = errorOf(() => callFrame(id(name), given, values));
    expect(error.message).toContain(words);
    expect(error.code).toMatch(/^ERR_WAVEGPT_(ARGUMENT|NOT_IMPLEMENTED)$/);
  });

  test("a tensor that was freed is named as such", () => {
    const x = randn([4]);
    binding.release(x);
    const error = errorOf(() => callFrame(id("relu"), 1, [x]));
    expect(error).toMatchObject({ code: "ERR_WAVEGPT_ARGUMENT", argument: "self" });
    expect(error.message).toContain("one that was disposed");
  });

  test("None is refused where the schema has no optional", () => {
    const error = errorOf(() => callFrame(id("view"), 2, [randn([4])], 0, 0b10));
    expect(error.message).toContain("expected int[], got null");
  });

  test("an operator that is not there, or refused, is an error that leaves no mask behind", () => {
    const x = randn([4]);
    expect(errorOf(() => callFrame(1e9, 1, [x], 1, 1)).message).toContain("an operator's id");
    const refused = binding.findOperator("aten::_embedding_bag", "")!.id;
    expect(errorOf(() => callFrame(refused, 1, [x], 1, 1)).code).toBe("ERR_WAVEGPT_REFUSED");
    expect([header[2], header[3]]).toEqual([0, 0]);
  });
});
