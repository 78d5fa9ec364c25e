import { spawnSync } from "node:child_process";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { type Tensor, torch, type WaveGPTError } from "../../lib/index.js";
import { packageRoot } from "../../lib/package-root.js";

function errorOf(run: () => unknown): WaveGPTError {
  try {
    run();
  } catch (error) {
    return error as WaveGPTError;
  }
  throw new Error("expected an error");
}

const a = torch.tensor([
  [1, 2, 3],
  [4, 5, 6],
]);
const list = (value: Tensor | readonly Tensor[]): unknown =>
  Array.isArray(value)
    ? value.map((tensor: Tensor) => tensor.tolist())
    : (value as Tensor).tolist();

describe("an overload is picked by the arguments", () => {
  test.each<[run: () => Tensor | readonly Tensor[], expected: unknown]>([
    [() => a.sum(), 21],
    [() => a.sum(1), [6, 15]],
    [() => a.sum([0, 1]), 21],
    [() => a.sum(null), 21],
    [() => a.sum({ dim: 0 }), [5, 7, 9]],
    [() => a.sum(-1, { keepdim: true }), [[6], [15]]],
    [() => a.sum({ dtype: "float64" }), 21],
    [() => a.max(), 6],
    [
      () => a.max(torch.tensor(3)),
      [
        [3, 3, 3],
        [4, 5, 6],
      ],
    ],
    [
      () => a.max(1),
      [
        [3, 6],
        [2, 2],
      ],
    ],
    [
      () => a.max({ dim: 0 }),
      [
        [4, 5, 6],
        [1, 1, 1],
      ],
    ],
    [() => a.argmax(), 5],
    [() => a.argmax(1), [2, 2]],
    [() => a.argmax(1, { keepdim: true }), [[2], [2]]],
    [
      () => a.add(1),
      [
        [2, 3, 4],
        [5, 6, 7],
      ],
    ],
    [
      () => a.add(1, { alpha: 2 }),
      [
        [3, 4, 5],
        [6, 7, 8],
      ],
    ],
    [
      () => a.add(a, { alpha: -1 }),
      [
        [0, 0, 0],
        [0, 0, 0],
      ],
    ],
    [
      () => a.div(2, { roundingMode: "floor" }),
      [
        [0, 1, 1],
        [2, 2, 3],
      ],
    ],
    [() => a.pow(2).at(0), [1, 4, 9]],
    [() => a.pow(a).at(0), [1, 4, 27]],
    [() => torch.pow(2, a).at(0), [2, 4, 8]],
    [
      () => a.clamp(2, 5),
      [
        [2, 2, 3],
        [4, 5, 5],
      ],
    ],
    [
      () => a.clamp({ max: 3 }),
      [
        [1, 2, 3],
        [3, 3, 3],
      ],
    ],
    [
      () => a.clamp(null, 3),
      [
        [1, 2, 3],
        [3, 3, 3],
      ],
    ],
    [
      () => a.clamp({ min: torch.tensor([3, 3, 3]) }),
      [
        [3, 3, 3],
        [4, 5, 6],
      ],
    ],
    [
      () => a.view([3, 2]),
      [
        [1, 2],
        [3, 4],
        [5, 6],
      ],
    ],
    [
      () => a.view(3, 2),
      [
        [1, 2],
        [3, 4],
        [5, 6],
      ],
    ],
    [() => a.view(-1), [1, 2, 3, 4, 5, 6]],
    [() => a.view("int32").at(0, 0), 0x3f800000],
    [() => a.reshape(6), [1, 2, 3, 4, 5, 6]],
    [
      () => a.permute(1, 0),
      [
        [1, 4],
        [2, 5],
        [3, 6],
      ],
    ],
    [() => a.repeat(1, 2).at(0), [1, 2, 3, 1, 2, 3]],
    [
      () => a.expand(1, 2, 3),
      [
        [
          [1, 2, 3],
          [4, 5, 6],
        ],
      ],
    ],
    [
      () => a.flip(0),
      [
        [4, 5, 6],
        [1, 2, 3],
      ],
    ],
    [
      () => a.flip(0, 1),
      [
        [6, 5, 4],
        [3, 2, 1],
      ],
    ],
    [
      () => a.transpose(0, 1),
      [
        [1, 4],
        [2, 5],
        [3, 6],
      ],
    ],
    [
      () => a.transpose({ dim0: 0, dim1: 1 }),
      [
        [1, 4],
        [2, 5],
        [3, 6],
      ],
    ],
    [() => a.flatten(), [1, 2, 3, 4, 5, 6]],
    [() => a.flatten(0), [1, 2, 3, 4, 5, 6]],
    [
      () => a.split(2, { dim: 1 }),
      [
        [
          [1, 2],
          [4, 5],
        ],
        [[3], [6]],
      ],
    ],
    [
      () => a.split([1, 2], 1),
      [
        [[1], [4]],
        [
          [2, 3],
          [5, 6],
        ],
      ],
    ],
    [() => a.split(1), [[[1, 2, 3]], [[4, 5, 6]]]],
    [() => a.chunk(2), [[[1, 2, 3]], [[4, 5, 6]]]],
    [
      () => a.unsqueeze(0).squeeze(0),
      [
        [1, 2, 3],
        [4, 5, 6],
      ],
    ],
    [
      () => a.unsqueeze(0).squeeze(),
      [
        [1, 2, 3],
        [4, 5, 6],
      ],
    ],
    [
      () => a.unsqueeze(0).squeeze([0]),
      [
        [1, 2, 3],
        [4, 5, 6],
      ],
    ],
    [() => a.softmax(-1).sum(-1).round(), [1, 1]],
    [() => a.norm().round(), 10],
    [() => a.norm(1), 21],
    [() => a.norm(2, { dim: 1 }).round(), [4, 9]],
    [
      () => a.topk(2),
      [
        [
          [3, 2],
          [6, 5],
        ],
        [
          [2, 1],
          [2, 1],
        ],
      ],
    ],
    [() => a.topk(1, 0, { largest: false }), [[[1, 2, 3]], [[0, 0, 0]]]],
    [
      () => a.where(a.gt(2), 0),
      [
        [0, 0, 3],
        [4, 5, 6],
      ],
    ],
    [
      () => torch.where(a.gt(2), a, -1),
      [
        [-1, -1, 3],
        [4, 5, 6],
      ],
    ],
    [
      () => torch.where(a.gt(4), 1, 0),
      [
        [0, 0, 0],
        [0, 1, 1],
      ],
    ],
    [
      () => torch.where(a.gt(4)),
      [
        [1, 1],
        [1, 2],
      ],
    ],
    [
      () => a.gt(4).nonzero(),
      [
        [1, 1],
        [1, 2],
      ],
    ],
    [
      () => a.gt(4).nonzero({ asTuple: true }),
      [
        [1, 1],
        [1, 2],
      ],
    ],
    [() => torch.cat([a, a]).sum(), 42],
    [() => torch.cat([a, a], { dim: 1 }).at(0), [1, 2, 3, 1, 2, 3]],
    [() => torch.cat([a, a], -1).at(0), [1, 2, 3, 1, 2, 3]],
    [() => torch.stack([a, a]).sum([1, 2]), [21, 21]],
    [() => torch.zeros(2), [0, 0]],
    [() => torch.zeros(2, 1), [[0], [0]]],
    [() => torch.zeros([]), 0],
    [() => torch.full([2], 7n), [7, 7]],
    [() => torch.arange(3), [0, 1, 2]],
    [() => torch.arange(1, 7, 2), [1, 3, 5]],
    [() => torch.arange(0, 1, 0.5), [0, 0.5]],
    [() => torch.linspace(0, 1, 3), [0, 0.5, 1]],
    [
      () => torch.einsum("ij,kj->ik", a, a),
      [
        [14, 32],
        [32, 77],
      ],
    ],
    [() => torch.einsum("ij->j", [a]), [5, 7, 9]],
    [() => torch.unique(torch.tensor([3, 1, 3])), [1, 3]],
    [() => torch.unique(torch.tensor([[1], [1]]), { dim: 0 }), [[1]]],
    [() => torch.uniqueConsecutive(torch.tensor([3, 3, 1, 3])), [3, 1, 3]],
    [
      () => torch.meshgrid([torch.arange(2), torch.arange(2)], { indexing: "ij" }),
      [
        [
          [0, 0],
          [1, 1],
        ],
        [
          [0, 1],
          [0, 1],
        ],
      ],
    ],
    [() => torch.linalg.norm(a, { ord: 1 }), 9],
    [() => torch.fft.fft(torch.ones([2])).real, [2, 0]],
    [() => torch.special.expit(torch.zeros([1])), [0.5]],
    [() => torch.nnFunctional.linear(torch.ones([1, 3]), a), [[6, 15]]],
    [() => torch.layerNorm(a, [3], null, torch.ones([3]), { eps: 1 }).sum(), 6],
    [() => a.gather(1, torch.tensor([[0], [2]], { dtype: "int64" })), [[1], [6]]],
    [
      () => a.scatter(1, torch.tensor([[0], [2]], { dtype: "int64" }), 9),
      [
        [9, 2, 3],
        [4, 5, 9],
      ],
    ],
    [() => a.newZeros([2]), [0, 0]],
    [
      () => a.contiguous(),
      [
        [1, 2, 3],
        [4, 5, 6],
      ],
    ],
  ])("%s", (run, expected) => {
    torch.tidy(() => expect(list(run())).toEqual(expected));
  });

  test("named results are tuples", () => {
    const result = a.max(1);
    const [values, indices] = result;
    expect([result.values === values, result.indices === indices]).toEqual([true, true]);
    expect(result.length).toBe(2);
    const { sign, logabsdet } = torch.linalg.slogdet(torch.eye(2).mul(-1));
    expect([sign.item(), logabsdet.item()]).toEqual([1, 0]);
    const { output, inverse, counts } = torch.unique(torch.tensor([5, 1, 5]), {
      returnInverse: true,
      returnCounts: true,
    });
    expect([output, inverse!, counts!].map((tensor) => tensor.tolist())).toEqual([
      [1, 5],
      [1, 0, 1],
      [1, 2],
    ]);
    expect(torch.unique(torch.tensor([1]), { returnCounts: true }).inverse).toBeNull();
  });

  test("values come back as values", () => {
    expect([a.equal(a), a.allclose(a.add(1)), a.isComplex()]).toEqual([true, false, false]);
    expect([
      torch.promoteTypes("int32", "float16"),
      torch.resultType(a, 1),
      torch.canCast("float32", "int8"),
    ]).toEqual(["float16", "float32", false]);
  });

  test("in-place operators give the tensor itself", () => {
    const x = torch.zeros([2]);
    const y = x
      .add_(1)
      .mul_(torch.tensor([2, 3]))
      .clamp_({ max: 2.5 });
    expect(y === x).toBe(true);
    expect(torch.relu_(x) === x).toBe(true);
    expect(x.copy_(torch.tensor([7, 8])) === x).toBe(true);
    expect(
      x
        .indexAdd_(0, torch.tensor([0], { dtype: "int64" }), torch.tensor([1]), { alpha: 2 })
        .tolist(),
    ).toEqual([9, 8]);
  });

  test("`out` is written to and given back", () => {
    const out = torch.empty([2, 3]);
    expect(torch.add(a, a, { out }) === out).toBe(true);
    expect(torch.add(a, 1, { alpha: 2, out }) === out).toBe(true);
    expect(out.tolist()).toEqual([
      [3, 4, 5],
      [6, 7, 8],
    ]);
    const values = torch.empty([0]);
    const indices = torch.empty([0], { dtype: "int64" });
    const result = torch.max(a, 1, { out: [values, indices] });
    expect([result.values === values, result[1] === indices]).toEqual([true, true]);
    expect([values.tolist(), indices.tolist()]).toEqual([
      [3, 6],
      [2, 2],
    ]);
    expect(() => torch.max(a, 1, { out: values as never })).toThrow(
      /'out' expected an array of 2 Tensors/,
    );
  });

  test("factories take dtype, device and requiresGrad", () => {
    const x = torch.ones([2], { dtype: "float64", device: "cpu", requiresGrad: true });
    expect([x.dtype, x.requiresGrad, x.isLeaf]).toEqual(["float64", true, true]);
    expect(torch.zerosLike(x, { dtype: "int8" }).dtype).toBe("int8");
    expect(torch.empty([1], { device: "meta" }).device).toBe("meta");
    expect(torch.full([1], true).dtype).toBe("bool");
    expect(torch.full([1], 2).dtype).toBe("float32");
    expect(torch.full([1], { re: 1, im: 1 }).dtype).toBe("complex64");
    expect(torch.full([1], 2, { dtype: "int16" }).dtype).toBe("int16");
  });

  test("undefined options count as absent", () => {
    expect(a.sum(1, { keepdim: undefined, dtype: undefined }).shape).toEqual([2]);
    expect(a.sum(1, undefined).shape).toEqual([2]);
  });
});

describe("arguments that fit no overload", () => {
  const any = a as unknown as Record<string, (...values: unknown[]) => unknown>;
  test.each<[run: () => unknown, argument: string | undefined, message: RegExp]>([
    [
      () => any.add!("x"),
      "other",
      /^aten::add: argument 'other' expected a Tensor, got string "x"; or argument 'other' expected a number, got string "x"\nIt is called as one of:\n {2}aten::add\.Tensor\(/,
    ],
    [() => any.add!(), "other", /argument 'other' is missing: expected a Tensor/],
    [() => any.add!(1, { alpha: "2" }), "alpha", /'alpha' expected a number, got string "2"/],
    [
      () => any.sum!({ dims: 1 }),
      "dims",
      /has no argument 'dims'; it takes dtype; or .*it takes dim, keepdim, dtype/,
    ],
    [() => any.sum!(1, { dim: 1 }), "dim", /argument 'dim' was given twice/],
    [
      () => any.sum!(1.5),
      "dim",
      /'dim' expected an integer or an array of integers or null, got number 1\.5/,
    ],
    [() => any.sum!([1, "2"]), "dim", /got Array\(2\) of number, string/],
    [
      () => any.sum!({ dtype: "float" }),
      "dtype",
      /'dtype' expected a dtype or null, got string "float"/,
    ],
    [() => any.relu!(1), undefined, /takes at most 0 positional arguments, got 1/],
    [() => any.matmul!({ other: null }), "other", /'other' expected a Tensor, got null/],
    [() => any.view!([1, [2]]), "size", /an array of integers, got Array\(2\) of number, Array/],
    [() => any.view!(2, "3"), "size", /an array of integers/],
    [
      () => torch.cat(a as never),
      "tensors",
      /'tensors' expected an array of Tensors, got Tensor float32 \[2, 3\]/,
    ],
    [() => torch.cat([a, 1] as never), "tensors", /got Array\(2\) of Tensor, number/],
    [
      () => torch.zeros([2], { device: 5 as never }),
      "device",
      /'device' expected a device or null, got number 5/,
    ],
    [
      () => torch.zeros([2], { layout: "sparse" as never }),
      "layout",
      /a layout or null, got string "sparse"/,
    ],
    [
      () => torch.zeros([2], { requiresGrad: "yes" as never }),
      "requiresGrad",
      /has no argument 'requiresGrad'/,
    ],
    [() => torch.add(1 as never, a), "self", /'self' expected a Tensor, got number 1/],
    [() => torch.relu(a, { out: a } as never), undefined, /./],
    [
      () => any.view!(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1),
      undefined,
      /at most 10 positional arguments, got 12/,
    ],
    [() => any.add!(Promise.resolve(a)), "other", /got a Promise/],
    [() => any.add!(new Date(0)), "other", /got a Date/],
    [() => any.add!(new Float32Array(3)), "other", /got Float32Array\(3\)/],
    [() => any.add!(Symbol("x")), "other", /got a symbol/],
    [() => any.add!(() => a), "other", /got a function/],
  ])("%s", (run, argument, message) => {
    const error = errorOf(run);
    expect(error.code).toBe("ERR_WAVEGPT_ARGUMENT");
    expect(error.message).toMatch(message);
    if (argument !== undefined) expect(error.argument).toBe(argument);
    expect(error.operator).toMatch(/^aten::/);
  });

  test("libtorch's own complaints carry the operator", () => {
    const error = errorOf(() => a.matmul(a));
    expect([error.code, error.operator]).toEqual(["ERR_WAVEGPT_LIBTORCH", "aten::matmul"]);
    expect(error.message).toMatch(/mat1 and mat2 shapes cannot be multiplied \(2x3 and 2x3\)/);
  });
});

describe("torch.ops", () => {
  test("reaches any operator by namespace, name and overload", () => {
    expect(torch.ops.aten.add.Tensor(a, a, { alpha: 2 }).at(0).tolist()).toEqual([3, 6, 9]);
    expect(torch.ops.aten.add(a, 1).at(0).tolist()).toEqual([2, 3, 4]);
    expect(torch.ops.aten._softmax.default(a, -1, false).sum(-1).round().tolist()).toEqual([1, 1]);
    expect(torch.ops.aten.sum.dim_IntList(a, [1], { keepdim: true }).tolist()).toEqual([[6], [15]]);
    const out = torch.empty([2, 3]);
    expect(torch.ops.aten.add.out(a, a, { out }) === out).toBe(true);
    expect(torch.ops.aten.add.overloads()).toEqual(
      expect.arrayContaining(["Tensor", "Scalar", "out"]),
    );
    expect(torch.ops.find("aten::relu")(a)).toBeInstanceOf(torch.Tensor);
    expect(torch.ops.aten.relu.default.schema.schema).toBe("aten::relu(Tensor self) -> Tensor");
  });

  test("takes the schema's own names too", () => {
    expect(torch.ops.aten.full.default([1], 3, { pin_memory: false }).tolist()).toEqual([3]);
  });

  test("lists all names, and says which there are not", () => {
    const names = torch.ops.names();
    expect(names.length).toBeGreaterThan(2000);
    expect(names).toEqual(expect.arrayContaining(["aten::add.Tensor", "aten::relu"]));
    expect([...names].sort()).toEqual(names);
    expect(torch.ops.schema("aten::no_such")).toBeNull();
    for (const run of [
      () => (torch.ops.aten as unknown as Record<string, object>).no_such,
      () => (torch.ops.aten.add as unknown as Record<string, object>).NoSuch,
      () => torch.ops.find("aten::no_such"),
    ]) {
      const error = errorOf(run);
      expect(error.code).toBe("ERR_WAVEGPT_UNKNOWN_OPERATOR");
      expect(error.message).toMatch(/libtorch 2\.13\.0 has no such operator/);
    }
  });
});

test("lib/generated is what the loaded libtorch reports", () => {
  const script = path.join(packageRoot(), "scripts", "generate-operators.mjs");
  const run = spawnSync(process.execPath, [script, "--check"], { encoding: "utf8" });
  expect(run.stderr).toBe("");
  expect(run.status).toBe(0);
});
