import { describe, expect, test } from "vitest";
import { DTYPES, elementSize, finfo, iinfo } from "../../lib/dtype.js";
import {
  type DType,
  type NestedValues,
  Tensor,
  torch,
  type WaveGPTError,
} from "../../lib/index.js";
import { python } from "../python.js";

const PLAIN = DTYPES.filter((dtype) => !dtype.startsWith("q"));

function errorOf(run: () => unknown): WaveGPTError {
  try {
    run();
  } catch (error) {
    return error as WaveGPTError;
  }
  throw new Error("expected an error");
}

describe("torch.tensor", () => {
  test.each([
    ["a number", 1.5, "float32", [], 1.5],
    ["whole numbers", [1, 2], "float32", [2], [1, 2]],
    ["bigints", [1n, 2n ** 62n], "int64", [2], [1, 2n ** 62n]],
    ["booleans", [[true], [false]], "bool", [2, 1], [[true], [false]]],
    [
      "complex numbers",
      [{ re: 1, im: -2 }, 3],
      "complex64",
      [2],
      [
        { re: 1, im: -2 },
        { re: 3, im: 0 },
      ],
    ],
    ["bigints and booleans", [1n, true], "int64", [2], [1, 1]],
    ["nothing", [], "float32", [0], []],
    ["nothing, nested", [[], []], "float32", [2, 0], [[], []]],
    ["a Float64Array", Float64Array.of(1, 2), "float64", [2], [1, 2]],
    ["a BigInt64Array", BigInt64Array.of(5n), "int64", [1], [5]],
    ["a Buffer", Buffer.from([1, 255]), "uint8", [2], [1, 255]],
  ] as const)("from %s", (_name, data, dtype, shape, values) => {
    const tensor = torch.tensor(data as never);
    expect([tensor.dtype, tensor.shape, tensor.tolist()]).toEqual([dtype, shape, values]);
  });

  test("copies a tensor without its history", () => {
    const x = torch.ones([2], { requiresGrad: true });
    const copy = torch.tensor(x.mul(2));
    expect([copy.requiresGrad, copy.isLeaf, copy.tolist()]).toEqual([false, true, [2, 2]]);
    expect(torch.tensor(x, { dtype: "float64", requiresGrad: true })).toMatchObject({
      dtype: "float64",
      requiresGrad: true,
    });
  });

  test("leaves no tensor but its result", () => {
    const before = torch.memory().handles;
    torch.tensor([1, 2], { dtype: "bfloat16", device: "cpu" }).dispose();
    expect(torch.memory().handles).toBe(before);
  });

  test.each([
    [() => torch.tensor([[1, 2], [3]]), /arrays of equal lengths: 2 at dimension 1, got 1/],
    [() => torch.tensor([1, [2]] as never), /argument 'data'/],
    [() => torch.tensor([[1], 2] as never), /an array at dimension 1, got number 2/],
    [
      () => torch.tensor("x" as never),
      /numbers, booleans or nested arrays of them, got string "x"/,
    ],
    [() => torch.tensor([null] as never), /got null/],
    [() => torch.tensor([300], { dtype: "uint8" }), /values from 0 to 255, got number 300/],
    [
      () => torch.tensor([Number.NaN], { dtype: "int64" }),
      /finite numbers for dtype int64, got number NaN/,
    ],
    [
      () => torch.tensor([{ re: 1, im: 2 }], { dtype: "float32" }),
      /real numbers for dtype float32/,
    ],
    [
      () => torch.tensor([1], { dtype: "float" as DType }),
      /expected a dtype \(uint8, .*got string "float"/,
    ],
    [() => torch.tensor([1], { device: "two words" }), /device/],
  ] as const)("%s throws", (run, message) => {
    expect(errorOf(run).message).toMatch(message);
  });
});

describe("dtypes", () => {
  const VALUES = [0, 1, 2, 5, 100];

  test("round-trip through typed arrays and lists", () => {
    for (const dtype of PLAIN) {
      if (dtype === "float8_e8m0fnu") continue; // powers of two only
      torch.tidy(() => {
        const tensor = torch.tensor(VALUES, { dtype });
        expect([dtype, tensor.dtype, tensor.elementSize()]).toEqual([
          dtype,
          dtype,
          elementSize(dtype),
        ]);
        if (dtype === "complex32") {
          expect(() => tensor.toTypedArray()).toThrow(/typed array/);
          expect(tensor.to("complex64").tolist()).toEqual(tensor.tolist());
          return;
        }
        const bits = tensor.toTypedArray();
        expect(bits.byteLength).toBe(VALUES.length * elementSize(dtype));
        if (!dtype.startsWith("float8")) {
          const again = torch.fromTypedArray(bits, undefined, { dtype });
          expect([dtype, again.equal(tensor)]).toEqual([dtype, true]);
        }
        const list = tensor.tolist() as NestedValues[];
        const numbers = list.map((value) =>
          typeof value === "object" ? (value as { re: number }).re : Number(value),
        );
        const expected =
          dtype === "bool"
            ? [0, 1, 1, 1, 1]
            : dtype.startsWith("float8")
              ? [0, 1, 2, 5, 96]
              : VALUES;
        expect([dtype, numbers]).toEqual([dtype, expected]);
      });
    }
  });

  test("bfloat16 and float16 round as PyTorch's", () => {
    const values = [
      1 / 3,
      65504,
      1e-8,
      -2.7181,
      3.3895e38,
      Number.POSITIVE_INFINITY,
      1.00390625,
      1.001953125,
    ];
    const expected = JSON.parse(
      python(`
import json, torch
values = [1/3, 65504, 1e-8, -2.7181, 3.3895e38, float("inf"), 1.00390625, 1.001953125]
print(json.dumps([torch.tensor(values, dtype=d).view(torch.int16).tolist() for d in (torch.bfloat16, torch.float16)]))`),
    ) as number[][];
    for (const [at, dtype] of (["bfloat16", "float16"] as const).entries()) {
      expect(torch.tensor(values, { dtype }).view("int16").tolist()).toEqual(expected[at]);
    }
  });

  test("int64 values are numbers while these are exact, bigints beyond", () => {
    const values = [2n ** 53n - 1n, 2n ** 53n, -(2n ** 63n), 7n];
    const tensor = torch.tensor(values);
    expect(tensor.tolist()).toEqual([2 ** 53 - 1, 2n ** 53n, -(2n ** 63n), 7]);
    expect(tensor.at(2).item()).toBe(-(2n ** 63n));
    expect(tensor.at(3).item()).toBe(7);
    expect(torch.tensor([2n ** 64n - 1n], { dtype: "uint64" }).tolist()).toEqual([2n ** 64n - 1n]);
  });

  test("item and number give one element", () => {
    expect(torch.tensor(0.1).item()).toBe(Math.fround(0.1));
    expect(torch.tensor([[true]]).item()).toBe(true);
    expect(torch.tensor({ re: 1, im: 2 }).item()).toEqual({ re: 1, im: 2 });
    expect([torch.tensor([2n ** 60n]).number(), torch.tensor(true).number()]).toEqual([2 ** 60, 1]);
    expect(() => torch.tensor({ re: 1, im: 2 }).number()).toThrow(/a real number/);
    expect(() => torch.tensor([1, 2]).item()).toThrow(/item/);
  });

  test("finfo and iinfo are PyTorch's", () => {
    const floats = ["float64", "float32", "float16", "bfloat16"] as const;
    const integers = [
      "uint8",
      "int8",
      "int16",
      "int32",
      "int64",
      "uint16",
      "uint32",
      "uint64",
    ] as const;
    const expected = JSON.parse(
      python(`
import json, torch
print(json.dumps([[[i.bits, i.eps, i.max, i.min, i.tiny, i.smallest_normal] for i in map(torch.finfo, [${floats.map((name) => `torch.${name}`)}])],
  [[i.bits, str(i.min), str(i.max)] for i in map(torch.iinfo, [${integers.map((name) => `torch.${name}`)}])]]))`),
    ) as unknown;
    expect([
      floats.map(finfo).map((i) => [i.bits, i.eps, i.max, i.min, i.tiny, i.smallestNormal]),
      integers.map(iinfo).map((i) => [i.bits, String(i.min), String(i.max)]),
    ]).toEqual(expected);
    expect(torch.finfo("complex64").dtype).toBe("float32");
    expect(() => torch.finfo("int64")).toThrow(/torch\.iinfo/);
    expect(() => torch.iinfo("bool")).toThrow(/torch\.finfo/);
  });

  test("the default dtype is what numbers become", () => {
    torch.setDefaultDtype("float64");
    try {
      expect([torch.tensor(1).dtype, torch.ones([1]).dtype, torch.full([1], 2).dtype]).toEqual([
        "float64",
        "float64",
        "float64",
      ]);
      expect(torch.tensor({ re: 0, im: 1 }).dtype).toBe("complex128");
    } finally {
      torch.setDefaultDtype("float32");
    }
    expect(torch.getDefaultDtype()).toBe("float32");
    expect(() => torch.setDefaultDtype("int64")).toThrow(/floating point/);
  });
});

describe("fromTypedArray", () => {
  test("copies, or shares when asked", () => {
    const data = Float32Array.of(1, 2, 3, 4);
    const copy = torch.fromTypedArray(data, [2, 2]);
    const shared = torch.fromTypedArray(data, [2, 2], { share: true });
    data[0] = 9;
    expect([copy.tolist(), shared.tolist()]).toEqual([
      [
        [1, 2],
        [3, 4],
      ],
      [
        [9, 2],
        [3, 4],
      ],
    ]);
    shared.at(1).zero_();
    expect([...data]).toEqual([9, 2, 0, 0]);
    expect([...(shared.shareTypedArray() as Float32Array)]).toEqual([9, 2, 0, 0]);
  });

  test("reads bits as the types JavaScript has no array for", () => {
    expect(
      torch
        .fromTypedArray(Uint16Array.of(0x3f80, 0xc000), undefined, { dtype: "bfloat16" })
        .tolist(),
    ).toEqual([1, -2]);
    expect(
      torch.fromTypedArray(Uint16Array.of(0x3c00), undefined, { dtype: "float16" }).tolist(),
    ).toEqual([1]);
    expect(
      torch.fromTypedArray(Uint8Array.of(1, 0), undefined, { dtype: "bool" }).tolist(),
    ).toEqual([true, false]);
    expect(
      torch.fromTypedArray(Float32Array.of(1, 2, 3, 4), undefined, { dtype: "complex64" }).shape,
    ).toEqual([2]);
  });

  test("refuses what does not fit", () => {
    expect(() => torch.fromTypedArray(Uint8Array.of(1), [2])).toThrow(/shape|elements/);
    expect(() => torch.fromTypedArray(Float32Array.of(1), undefined, { dtype: "int32" })).toThrow(
      /'dtype' expected float32 or complex64 for a Float32Array, got string "int32"; use torch\.tensor/,
    );
    expect(() => torch.fromTypedArray([1] as never)).toThrow(/a typed array/);
    expect(() => torch.fromTypedArray(new DataView(new ArrayBuffer(4)) as never)).toThrow(
      /a typed array/,
    );
    const resizable = new (
      ArrayBuffer as unknown as new (
        size: number,
        options: object,
      ) => ArrayBuffer
    )(8, { maxByteLength: 16 });
    expect(() =>
      torch.fromTypedArray(new Uint8Array(resizable), undefined, { share: true }),
    ).toThrow(/fixed length/);
    expect(torch.fromTypedArray(new Uint8Array(resizable)).shape).toEqual([8]);
  });

  test("keeps a shared buffer from being transferred away", () => {
    const data = new Float32Array(4);
    const tensor = torch.fromTypedArray(data, undefined, { share: true });
    try {
      structuredClone(data.buffer, { transfer: [data.buffer] }); // copies on Node 20, throws on later ones
    } catch (error) {
      expect(error).toMatchObject({ name: "DataCloneError" });
    }
    const { transfer } = data.buffer as unknown as { transfer: () => void };
    expect(transfer).toThrow(/shares this buffer's memory/);
    expect([data.length, tensor.tolist()]).toEqual([4, [0, 0, 0, 0]]);
  });
});

describe("what a tensor is", () => {
  const x = torch.arange(24, { dtype: "float32" }).view(2, 3, 4);

  test("sizes, strides and types", () => {
    expect([x.shape, x.size(), x.size(-1), x.ndim, x.dim(), x.numel()]).toEqual([
      [2, 3, 4],
      [2, 3, 4],
      4,
      3,
      3,
      24,
    ]);
    expect([x.stride(), x.stride(1), x.storageOffset(), x.at(1).storageOffset()]).toEqual([
      [12, 4, 1],
      4,
      0,
      12,
    ]);
    expect([x.itemsize, x.nbytes, x.dtype, x.device, x.layout, x.isCuda]).toEqual([
      4,
      96,
      "float32",
      "cpu",
      "strided",
      false,
    ]);
    expect([x.isContiguous(), x.transpose(0, 1).isContiguous(), x.isFloatingPoint()]).toEqual([
      true,
      false,
      true,
    ]);
    expect(() => x.size(3)).toThrow(
      /argument 'dim' expected an integer from -3 to 2, got number 3/,
    );
  });

  test("views share memory", () => {
    const matrix = torch.zeros([2, 3]);
    for (const view of [
      matrix.T,
      matrix.mT,
      matrix.view(-1),
      matrix.at(0),
      matrix.unsqueeze(0),
      matrix.detach(),
      matrix.data,
    ]) {
      view.add_(1);
    }
    expect(matrix.sum().item()).toBeGreaterThan(6);
    expect([matrix.T.shape, matrix.H.shape, x.mT.shape, x.mH.shape]).toEqual([
      [3, 2],
      [3, 2],
      [2, 4, 3],
      [2, 4, 3],
    ]);
    expect(matrix.version).toBeGreaterThan(0);
    expect(matrix.clone().dataPointer).not.toBe(matrix.dataPointer);
  });

  test("iterates over its first dimension", () => {
    expect(
      [
        ...torch.tensor([
          [1, 2],
          [3, 4],
        ]),
      ].map((row) => row.tolist()),
    ).toEqual([
      [1, 2],
      [3, 4],
    ]);
  });

  test("converts to other types and devices", () => {
    const y = torch.tensor([1.5, -2.5]);
    expect(
      [
        y.long(),
        y.int(),
        y.short(),
        y.byte().at(0),
        y.bool(),
        y.double(),
        y.half(),
        y.bfloat16(),
      ].map((t) => t.dtype),
    ).toEqual(["int64", "int32", "int16", "uint8", "bool", "float64", "float16", "bfloat16"]);
    expect(y.to("float32") === y).toBe(true);
    expect(y.to({ copy: true }) === y).toBe(false);
    expect(y.float() === y).toBe(true);
    expect(y.cpu() === y).toBe(true);
    expect(y.to(torch.ones([1], { dtype: "float64" })).dtype).toBe("float64");
    expect(y.to({ dtype: "float64", device: "cpu" }).dtype).toBe("float64");
    expect(y.to("meta").device).toBe("meta");
    expect(() => y.to(5 as never)).toThrow(/a dtype, a device, a Tensor or options, got number 5/);
    expect(() => y.to("nowhere")).toThrow(/nowhere/);
  });

  test("copyFrom overwrites in place", () => {
    const y = torch.zeros([2, 2]);
    y.copyFrom(Float32Array.of(1, 2, 3, 4));
    expect(y.tolist()).toEqual([
      [1, 2],
      [3, 4],
    ]);
    expect(() => y.copyFrom(Float32Array.of(1))).toThrow(/4|elements/);
  });

  test("data takes another tensor's memory", () => {
    const parameter = torch.ones([2], { requiresGrad: true });
    parameter.data = torch.zeros([3]);
    expect([parameter.tolist(), parameter.requiresGrad, parameter.isLeaf]).toEqual([
      [0, 0, 0],
      true,
      true,
    ]);
  });

  test("isSame tells a tensor from an equal one", () => {
    const y = torch.ones([1]);
    expect([y.isSame(y), y.isSame(y.clone()), torch.isTensor(y), torch.isTensor({})]).toEqual([
      true,
      false,
      true,
      false,
    ]);
    expect(y).toBeInstanceOf(Tensor);
  });
});
