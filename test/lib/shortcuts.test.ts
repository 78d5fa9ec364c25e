import { describe, expect, test } from "vitest";
import { binding } from "../../lib/binding.js";
import { type DType, type Tensor, torch } from "../../lib/index.js";

// Calls take short cuts where nothing is to be differentiated: none may be seen from outside.

describe("views, where autograd's kernels are passed over", () => {
  const shapes: [string, (x: Tensor) => Tensor][] = [
    ["view", (x) => x.view(4)],
    ["reshape", (x) => x.reshape([4])],
    ["at", (x) => x.at(":", 0)],
    ["transpose", (x) => x.transpose(0, 1)],
    ["einsum", (x) => torch.einsum("ij->ji", [x])],
  ];

  test.each(shapes)("%s: a gradient written to the view reaches what it views", (_, view) => {
    torch.tidy(() => {
      const x = torch.ones([2, 2]);
      const part = view(x);
      const factor = torch.full(part.shape, 3, { requiresGrad: true });
      part.mul_(factor);
      expect(x.requiresGrad).toBe(true);
      x.sum().backward();
      expect(factor.grad!.tolist()).toEqual(torch.ones(part.shape).tolist());
    });
  });

  test.each(shapes)("%s: both count writes together", (_, view) => {
    torch.tidy(() => {
      const x = torch.ones([2, 2]);
      const part = view(x);
      x.add_(1);
      part.add_(torch.ones([]));
      expect([x.version, part.version]).toEqual([2, 2]);
    });
  });

  test("a view made without gradients is as PyTorch's: it requires one, and has no function", () => {
    torch.tidy(() => {
      const p = torch.ones([4], { requiresGrad: true });
      const part = torch.noGrad(() => p.view(2, 2));
      expect([part.requiresGrad, part.gradFn]).toEqual([true, null]);
      expect(p.view(2, 2).gradFn).toBe("ViewBackward0");
    });
  });
});

test("what autograd refuses without gradients too is refused", () => {
  torch.tidy(() => {
    const p = torch.ones([4], { requiresGrad: true });
    const resize = () => torch.noGrad(() => p.resize_([2]));
    expect(resize).toThrow(/cannot resize variables that require grad/);
    expect(() => torch.ops.aten.detach_.default(p.view(2, 2))).toThrow(/detach/);
  });
});

test("a saved tensor that is written to is still noticed", () => {
  torch.tidy(() => {
    const p = torch.ones([2], { requiresGrad: true });
    const x = torch.ones([2]);
    const product = p.mul(x).sum();
    x.add_(1);
    expect(() => product.backward()).toThrow(/modified by an inplace operation/);
  });
});

describe("arithmetic with a number", () => {
  const dtypes: DType[] = ["float32", "float64", "bfloat16", "float16", "int64", "complex64"];
  const values = [1, -3, 0.1, 1 / 3, 2 ** 24 + 1, 2 ** 53 + 2, 1e300, -0, Number.NaN, 16777217.5];
  const operators = ["add", "sub", "mul", "div"] as const;

  test.each(operators)("%s gives the boxed operator's bits, of every type", (name) => {
    const { id } = binding.findOperator(`aten::${name}`, "Scalar")!;
    for (const dtype of dtypes) {
      for (const value of values) {
        torch.tidy(() => {
          const x = torch
            .tensor([
              [1, -2.5],
              [0.1, 3e10],
            ])
            .to(dtype);
          const result = x[name](value);
          const boxed = binding.call(id, x.handle, value) as number;
          expect(result.dtype).toBe(torch.ops.aten[name].Scalar(x, value).dtype);
          expect(binding.toTypedArray(result.handle)).toEqual(binding.toTypedArray(boxed));
        });
      }
    }
  });

  test.each(operators)("%s_ writes what %s gives", (name) => {
    torch.tidy(() => {
      const x = torch.tensor([1, 0.1, -7]);
      const expected = x[name](0.3).tolist();
      expect(x[`${name}_`](0.3)).toBe(x);
      expect(x.tolist()).toEqual(expected);
      expect(x.version).toBe(1);
    });
  });

  test("is differentiated", () => {
    torch.tidy(() => {
      const p = torch.tensor([1, 2], { requiresGrad: true });
      p.mul(3).add(1).sum().backward();
      expect(p.grad!.tolist()).toEqual([3, 3]);
      expect(torch.noGrad(() => p.add(1)).requiresGrad).toBe(false);
    });
  });

  test("each result is its own", () => {
    torch.tidy(() => {
      const x = torch.zeros([2]);
      const [one, two] = [x.add(1), x.add(2)];
      expect([one.tolist(), two.tolist()]).toEqual([
        [1, 1],
        [2, 2],
      ]);
    });
  });
});

test("a shape of any number of dimensions, and of sizes beyond 32 bits", () => {
  torch.tidy(() => {
    for (let dimensions = 0; dimensions <= 30; dimensions++) {
      const shape = Array.from({ length: dimensions }, (_, at) => (at % 7 === 3 ? 2 : 1));
      expect(torch.zeros(shape).shape).toEqual(shape);
    }
    expect(torch.zeros([1]).expand([2 ** 40]).shape).toEqual([2 ** 40]);
  });
});

test("the one element of every type", () => {
  torch.tidy(() => {
    const item = (dtype: DType, value: number) => torch.tensor(value).to(dtype).item();
    expect(item("float32", 0.1)).toBe(Math.fround(0.1));
    expect(torch.tensor(0.1, { dtype: "float64" }).item()).toBe(0.1);
    expect([item("int32", -7), item("int64", 7), item("uint8", 200)]).toEqual([-7, 7, 200]);
    expect([item("bool", 1), item("bfloat16", 1.5)]).toEqual([true, 1.5]);
    expect(torch.tensor(2n ** 60n).item()).toBe(2n ** 60n);
    expect(item("complex64", 2)).toEqual({ re: 2, im: 0 });
    expect(() => torch.zeros([2]).item()).toThrow(/a tensor of one element/);
  });
});

test("arrays whose elements call operators when they are read", () => {
  torch.tidy(() => {
    const x = torch.arange(6);
    const sizes = [0, 0];
    Object.defineProperty(sizes, 0, { get: () => x.add(1).shape[0]! / 3 });
    Object.defineProperty(sizes, 1, { get: () => x.at(3).number() });
    expect(x.view(sizes).shape).toEqual([2, 3]);
    const many = [1, 1, 1, 1, 0, 0];
    Object.defineProperty(many, 4, { get: () => x.add(1).shape[0]! / 3 });
    Object.defineProperty(many, 5, { get: () => x.at(3).number() });
    expect(x.view(many).shape).toEqual([1, 1, 1, 1, 2, 3]);
    const options = {
      get dim() {
        return x.at(1).number();
      },
      get keepdim() {
        return x.add(1).shape[0] === 6;
      },
    };
    expect(x.view(2, 3).sum(options).shape).toEqual([2, 1]);
  });
});
