import path from "node:path";
import { inspect } from "node:util";
import { afterEach, describe, expect, test } from "vitest";
import { torch } from "../../lib/index.js";
import { toExponential, toFixed } from "../../lib/number-format.js";
import { python, pythonFile } from "../python.js";
import { type RecordedTensor, tensorOf } from "./replay.js";

afterEach(() => {
  torch.setPrintOptions({
    precision: 4,
    threshold: 1000,
    edgeitems: 3,
    linewidth: 80,
    sciMode: null,
  });
  torch.setDefaultDtype("float32");
});

const pythonLines = (script: string): string[] => JSON.parse(python(script)) as string[];

describe("printing", () => {
  test("is PyTorch's for tensors of all types, shapes and magnitudes", () => {
    const lines = pythonFile(path.join(import.meta.dirname, "print-tensors.py"))
      .trim()
      .split("\n");
    expect(lines.length).toBeGreaterThan(450);
    for (const line of lines) {
      const { tensor, text } = JSON.parse(line) as { tensor: RecordedTensor; text: string };
      torch.tidy(() => expect(tensorOf(tensor).toString()).toBe(text));
    }
  });

  test("names gradients, gradient functions and what is not the default", () => {
    const expected = pythonLines(`
import json, torch
x = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
long = torch.full((9,), 1.5, requires_grad=True)
print(json.dumps([repr(t) for t in [
  x, x + x, x.sum(), x[0], x.view(-1), x.double().exp(), x.t(), long * long, x.relu().to(torch.bfloat16),
  torch.empty(2, 3, device="meta"), torch.empty(0, device="meta", dtype=torch.int64),
  torch.eye(3).to_sparse(), torch.eye(3, dtype=torch.float64).to_sparse_csr(), torch.zeros(2, 2).to_sparse(),
  torch.eye(4).to_sparse_csc(), torch.eye(4).to_sparse_bsr((2, 2)),
]]))`);
    const x = torch.tensor(
      [
        [1, 2],
        [3, 4],
      ],
      { requiresGrad: true },
    );
    const long = torch.full([9], 1.5, { requiresGrad: true });
    const texts = [
      x,
      x.add(x),
      x.sum(),
      x.at(0),
      x.view(-1),
      x.double().exp(),
      x.t(),
      long.mul(long),
      x.relu().to("bfloat16"),
      torch.empty([2, 3], { device: "meta" }),
      torch.empty([0], { device: "meta", dtype: "int64" }),
      torch.eye(3).toSparse(),
      torch.eye(3, { dtype: "float64" }).toSparseCsr(),
      torch.zeros([2, 2]).toSparse(),
      torch.eye(4).toSparseCsc(),
      torch.eye(4).toSparseBsr([2, 2]),
    ].map(String);
    expect(texts).toEqual(expected);
  });

  test("follows the print options and the default dtype", () => {
    const expected = pythonLines(`
import json, torch
x = torch.arange(40).view(2, 20) / 7
texts = []
torch.set_printoptions(precision=2); texts.append(repr(x))
torch.set_printoptions(linewidth=40); texts.append(repr(x))
torch.set_printoptions(threshold=10, edgeitems=2); texts.append(repr(x))
torch.set_printoptions(sci_mode=True); texts.append(repr(x))
torch.set_printoptions(sci_mode=False, precision=6); texts.append(repr(x * 1e9))
torch.set_printoptions(profile="default")
torch.set_default_dtype(torch.float64)
texts += [repr(x), repr(torch.ones(2)), repr(torch.ones(2, dtype=torch.complex128)), repr(torch.ones(0))]
print(json.dumps(texts))`);
    const x = torch.arange(40).view(2, 20).div(7);
    const texts: string[] = [];
    torch.setPrintOptions({ precision: 2 });
    texts.push(String(x));
    torch.setPrintOptions({ linewidth: 40 });
    texts.push(String(x));
    torch.setPrintOptions({ threshold: 10, edgeitems: 2 });
    texts.push(String(x));
    torch.setPrintOptions({ sciMode: true });
    texts.push(String(x));
    torch.setPrintOptions({ sciMode: false, precision: 6 });
    texts.push(String(x.mul(1e9)));
    torch.setPrintOptions({
      precision: 4,
      threshold: 1000,
      edgeitems: 3,
      linewidth: 80,
      sciMode: null,
    });
    torch.setDefaultDtype("float64");
    texts.push(
      String(x),
      String(torch.ones([2])),
      String(torch.ones([2], { dtype: "complex128" })),
    );
    texts.push(String(torch.ones([0])));
    expect(texts).toEqual(expected);
    expect(() => torch.setPrintOptions({ precision: -1 })).toThrow(/precision.*integer/);
  });

  test("formats numbers as Python does", () => {
    const numbers = [
      0.5,
      1.5,
      2.5,
      0.125,
      0.375,
      1e21,
      1.5e22,
      123456789.125,
      -0,
      -2.5,
      5e-324,
      0.1,
      1 / 3,
      9.5,
      99.5,
      1e-7,
      2 ** -30,
      95,
      9.995,
      1.0005,
    ];
    const expected = JSON.parse(
      python(
        `import json, sys
values = [float(x) for x in sys.argv[1:]]
print(json.dumps([[f"{v:.{d}f}" for d in (0, 1, 2, 4, 6)] + [f"{v:.{d}e}" for d in (0, 1, 2, 4)] for v in values]))`,
        ...numbers.map((value) => (Object.is(value, -0) ? "-0.0" : String(value))),
      ),
    ) as string[][];
    const actual = numbers.map((value) => [
      ...[0, 1, 2, 4, 6].map((digits) => toFixed(value, digits)),
      ...[0, 1, 2, 4].map((digits) => toExponential(value, digits)),
    ]);
    expect(actual).toEqual(expected);
  });

  test("shows a tensor in util.inspect and console.log, a disposed one too", () => {
    const x = torch.tensor([1, 2]);
    expect(inspect({ x })).toBe("{ x: tensor([1., 2.]) }");
    x.dispose();
    expect(inspect(x)).toBe("tensor(<disposed>)");
  });

  test("leaves no tensor behind", () => {
    const x = torch.randn([50, 60], { requiresGrad: true });
    const before = torch.memory().handles;
    String(x);
    expect(torch.memory().handles).toBe(before);
  });
});
