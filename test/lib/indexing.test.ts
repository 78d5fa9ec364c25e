import { describe, expect, test } from "vitest";
import { type Index, type IndexValue, type Tensor, torch } from "../../lib/index.js";
import { python } from "../python.js";

const { slice, ellipsis, newaxis } = torch;
const long = (values: number[] | number[][]) => torch.tensor(values, { dtype: "int64" });
const base = () => torch.arange(120).view(2, 3, 4, 5);
const mask = () => torch.arange(24).view(2, 3, 4).remainder(5).eq(1);

// What stands in the brackets, here and in Python.
const READS: [index: () => Index[], source: string][] = [
  [() => [], "x[()]"],
  [() => [0], "x[0]"],
  [() => [-1], "x[-1]"],
  [() => [1, 2, 3, 4], "x[1, 2, 3, 4]"],
  [() => [1n, -1n], "x[1, -1]"],
  [() => [slice(1, null)], "x[1:]"],
  [() => ["1:"], "x[1:]"],
  [() => [":", "1:3"], "x[:, 1:3]"],
  [() => [slice(2)], "x[:2]"],
  [() => [":", ":", "::2"], "x[:, :, ::2]"],
  [() => [":", ":", "-3:-1", "1::3"], "x[:, :, -3:-1, 1::3]"],
  [() => ["5:"], "x[5:]"],
  [() => [":", "2:1"], "x[:, 2:1]"],
  [() => [":", "-100:100"], "x[:, -100:100]"],
  [() => [ellipsis, 0], "x[..., 0]"],
  [() => ["...", "1:3"], "x[..., 1:3]"],
  [() => [0, "...", -1], "x[0, ..., -1]"],
  [() => [0, 1, "...", 2, 3], "x[0, 1, ..., 2, 3]"],
  [() => [null], "x[None]"],
  [() => [newaxis, 0, null, ":", null], "x[None, 0, None, :, None]"],
  [() => ["...", null], "x[..., None]"],
  [() => [true], "x[True]"],
  [() => [false], "x[False]"],
  [() => [0, true, 1], "x[0, True, 1]"],
  [() => [[0, 1, 1]], "x[[0, 1, 1]]"],
  [() => [":", [2, 0]], "x[:, [2, 0]]"],
  [
    () => [
      [0, 1],
      [2, 0],
    ],
    "x[[0, 1], [2, 0]]",
  ],
  [() => [[[0], [1]], [[2, 0]]], "x[[[0], [1]], [[2, 0]]]"],
  [() => [":", [2, 0], ":", [1, 4]], "x[:, [2, 0], :, [1, 4]]"],
  [() => [[0, -1], 1], "x[[0, -1], 1]"],
  [() => [0, [1, 2]], "x[0, [1, 2]]"],
  [() => [[1, 0], null, "1:", [0, 1]], "x[[1, 0], None, 1:, [0, 1]]"],
  [() => [long([1, 0])], "x[torch.tensor([1, 0])]"],
  [
    () => [
      ":",
      long([
        [0, 1],
        [2, 2],
      ]),
    ],
    "x[:, torch.tensor([[0, 1], [2, 2]])]",
  ],
  [() => [torch.tensor([1, 0], { dtype: "int32" })], "x[torch.tensor([1, 0], dtype=torch.int32)]"],
  [() => [torch.tensor(1, { dtype: "int64" })], "x[torch.tensor(1)]"],
  [() => [torch.tensor(true)], "x[torch.tensor(True)]"],
  [() => ["...", torch.tensor(2, { dtype: "int64" })], "x[..., torch.tensor(2)]"],
  [() => [torch.tensor([false, true])], "x[torch.tensor([False, True])]"],
  [() => [[true, false]], "x[[True, False]]"],
  [() => [":", [true, false, true]], "x[:, [True, False, True]]"],
  [() => [mask()], "x[m]"],
  [() => [mask(), "1:3"], "x[m, 1:3]"],
  [() => [":", mask().at(0)], "x[:, m[0]]"],
  [() => [0, mask().at(0)], "x[0, m[0]]"],
  [() => [base().gt(60)], "x[x > 60]"],
  [() => [mask(), 2], "torch.from_numpy(x.numpy()[m.numpy(), 2])"],
  [() => [[]], "x[[]]"],
];

interface Read {
  shape: number[];
  values: unknown;
}

const PRELUDE = `
import json, torch
def base(): return torch.arange(120).view(2, 3, 4, 5)
x = base()
m = torch.arange(24).view(2, 3, 4).remainder(5) == 1
`;

describe("reading", () => {
  const script = `${PRELUDE}
print(json.dumps([{"shape": list(t.shape), "values": t.tolist()} for t in [${READS.map(([, source]) => source).join(", ")}]]))`;
  const expected = JSON.parse(python(script)) as Read[];

  test.each(READS.map(([index, source], at) => [source, index, expected[at]!] as const))(
    "%s",
    (_source, index, { shape, values }) => {
      torch.tidy(() => {
        const result = base().at(...index());
        expect(result.shape).toEqual(shape);
        expect(result.tolist()).toEqual(values);
      });
    },
  );

  test("simple indices give views", () => {
    const x = base();
    for (const view of [x.at(), x.at(0), x.at("1:", null, "..."), x.at("...", 1)]) {
      view.fill_(7);
      expect(x.at("...", 1).eq(7).any().item()).toBe(true);
    }
    expect(x.at(0).dataPointer).toBe(x.dataPointer);
    expect(x.at([0]).dataPointer).not.toBe(x.dataPointer);
  });

  test("carries gradients", () => {
    const x = torch.tensor(
      [
        [1, 2],
        [3, 4],
      ],
      { requiresGrad: true },
    );
    x.at("...", [0, 0]).sum().add(x.at(1, 1)).backward();
    expect(x.grad!.tolist()).toEqual([
      [2, 0],
      [2, 1],
    ]);
  });

  test("leaves no tensor behind, also where it fails", () => {
    const x = base();
    const before = torch.memory().handles;
    x.at(0, "1:", null, "...", [0, 1]).dispose();
    x.at("1:", 2, 3).dispose();
    expect(() => x.at(0, 1, [1], 9)).toThrow();
    expect(torch.memory().handles).toBe(before);
  });
});

const WRITES: [index: () => Index[], value: () => IndexValue, source: string][] = [
  [() => [0], () => -1, "x[0] = -1"],
  [() => [1, "1:", "...", 0], () => -2, "x[1, 1:, ..., 0] = -2"],
  [() => ["...", "::2"], () => long([7, 8, 9]), "x[..., ::2] = torch.tensor([7, 8, 9])"],
  [() => [0, 0], () => [1, 2, 3, 4, 5], "x[0, 0] = torch.tensor([1, 2, 3, 4, 5])"],
  [() => [], () => 5, "x[()] = 5"],
  [() => [[0, 1], 2], () => 3, "x[[0, 1], 2] = 3"],
  [
    () => [":", [2, 0]],
    () => torch.zeros([4, 5], { dtype: "int64" }),
    "x[:, [2, 0]] = torch.zeros(4, 5, dtype=torch.int64)",
  ],
  [() => [mask()], () => 4, "x[m] = 4"],
  [() => [base().gt(60)], () => 0, "x[x > 60] = 0"],
  [() => [base().gt(60)], () => torch.tensor(9, { dtype: "int64" }), "x[x > 60] = torch.tensor(9)"],
  [() => [0], () => torch.ones([1, 1, 3, 4, 5]), "x[0] = torch.ones(1, 1, 3, 4, 5)"],
  [() => [0, 1], () => torch.tensor(2.7), "x[0, 1] = torch.tensor(2.7)"],
  [() => [true, 0], () => 6, "x[True, 0] = 6"],
  [() => [1, null, [1, 2]], () => 8, "x[1, None, [1, 2]] = 8"],
  [() => [1, 2, 3, 4], () => 99n, "x[1, 2, 3, 4] = 99"],
];

describe("writing", () => {
  const script = `${PRELUDE}
results = []
for source in json.loads(${JSON.stringify(JSON.stringify(WRITES.map(([, , source]) => source)))}):
    x = base()
    exec(source)
    results.append(x.tolist())
print(json.dumps(results))`;
  const expected = JSON.parse(python(script)) as unknown[];

  test.each(
    WRITES.map(([index, value, source], at) => [source, index, value, expected[at]] as const),
  )("%s", (_source, index, value, values) => {
    torch.tidy(() => {
      const x: Tensor = base();
      expect(x.set(index(), value())).toBe(x);
      expect(x.tolist()).toEqual(values);
    });
  });

  test("is recorded by autograd", () => {
    const leaf = torch.tensor([1, 2, 3], { requiresGrad: true });
    const x = leaf.mul(2);
    x.set([1], 0);
    x.set([[2]], torch.tensor([5]));
    x.sum().backward();
    expect(leaf.grad!.tolist()).toEqual([2, 0, 0]);
  });
});

describe("mistakes", () => {
  const cases: [run: (x: Tensor) => unknown, message: RegExp][] = [
    [(x) => x.at(2), /index 2 is out of bounds for dimension 0 with size 2/],
    [(x) => x.at(0, -4), /index -4 is out of bounds for dimension 0 with size 3/],
    [(x) => x.at(0, 0, 0, 0, 0), /the tensor has 4 dimensions .*, the indices name 5/],
    [(x) => x.at("...", 0, "..."), /only one "\.\.\."/],
    [(x) => x.at(0.5), /expected an integer, got number 0\.5/],
    [(x) => x.at("::-1"), /step.*above 0, got number -1/],
    [(x) => x.at("1.5:"), /expected a slice/],
    [(x) => x.at({} as unknown as Index), /argument 'index' expected/],
    [(x) => x.at([0.5]), /an array of integers, got number 0\.5/],
    [(x) => x.at(torch.tensor([0.5])), /tensors used as indices must be/],
    [(x) => x.at([0, 5]), /index 5 is out of bounds/],
    [(x) => x.at(torch.tensor([true, false, true])), /mask/],
    [(x) => x.set([0], torch.zeros([7])), /size of tensor|broadcast|expanded size/],
    [(x) => x.set(0 as unknown as Index[], 1), /argument 'index' expected an array of indices/],
    [() => torch.tensor(1).at(0), /no dimensions/],
    [() => slice(0, 1, 0), /step/],
    [() => slice(0.5, 1), /integer or null/],
  ];
  test.each(cases.map(([run, message]) => [String(run), run, message] as const))(
    "%s",
    (_source, run, message) => {
      expect(() => run(base())).toThrow(message);
    },
  );
});
