import { describe, expect, test } from "vitest";
import { type Tensor, torch, type WaveGPTError } from "../../lib/index.js";
import { python } from "../python.js";
import { difference, type Recorded } from "./replay.js";

const leaf = (values: number[] | number[][]) => torch.tensor(values, { requiresGrad: true });

// Functions of a (3, 4) matrix x and a (4, 2) matrix w, whose gradients must be Python's bit for bit.
const FUNCTIONS: [run: (x: Tensor, w: Tensor) => Tensor, source: string][] = [
  [(x, w) => x.matmul(w).sum(), "(x @ w).sum()"],
  [(x, w) => x.matmul(w).relu().pow(2).mean(), "(x @ w).relu().pow(2).mean()"],
  [(x, w) => x.softmax(-1).log().matmul(w).sum(), "(x.softmax(-1).log() @ w).sum()"],
  [
    (x, w) => torch.layerNorm(x, [4], w.at(":", 0), w.at(":", 1)).pow(3).sum(),
    "torch.layer_norm(x, [4], w[:, 0], w[:, 1]).pow(3).sum()",
  ],
  [
    (x, w) => torch.nnFunctional.gelu(x.mul(w.T.at(0))).sum(),
    "torch.nn.functional.gelu(x * w.T[0]).sum()",
  ],
  [
    (x, w) => torch.cat([x, w.T], { dim: 0 }).std(0).sum(),
    "torch.cat([x, w.T], dim=0).std(0).sum()",
  ],
  [(x, w) => x.at([0, 2, 0]).matmul(w).tanh().norm(), "(x[[0, 2, 0]] @ w).tanh().norm()"],
  [
    (x, w) => torch.einsum("ij,jk->ki", x, w).logsumexp(0).sum(),
    "torch.einsum('ij,jk->ki', x, w).logsumexp(0).sum()",
  ],
  [
    (x, w) => torch.where(x.gt(0), x, x.exp()).matmul(w).abs().max(),
    "(torch.where(x > 0, x, x.exp()) @ w).abs().max()",
  ],
  [
    (x, w) =>
      x
        .unsqueeze(0)
        .expand(2, 3, 4)
        .bmm(w.unsqueeze(0).repeat(2, 1, 1))
        .cumsum(1)
        .sum(),
    "x.unsqueeze(0).expand(2, 3, 4).bmm(w.unsqueeze(0).repeat(2, 1, 1)).cumsum(1).sum()",
  ],
  [
    (x, w) => x.double().matmul(w.double()).sigmoid().prod().float(),
    "(x.double() @ w.double()).sigmoid().prod().float()",
  ],
  [
    (x, w) => x.view(2, 6).transpose(0, 1).reshape(3, 4).matmul(w).sort(0).values.at(0).sum(),
    "(x.view(2, 6).transpose(0, 1).reshape(3, 4) @ w).sort(0).values[0].sum()",
  ],
];

describe("backward", () => {
  test("gives Python's gradients bit for bit", () => {
    const expected = JSON.parse(
      python(
        `
import json, sys
sys.path.insert(0, sys.argv[1])
import torch
from recorded import encode
torch.set_num_threads(1)
results = []
for function in [${FUNCTIONS.map(([, source]) => `lambda x, w: ${source}`).join(", ")}]:
    torch.manual_seed(0)
    x = torch.randn(3, 4, requires_grad=True)
    w = torch.randn(4, 2, requires_grad=True)
    loss = function(x, w)
    loss.backward()
    second = torch.autograd.grad(torch.autograd.grad(function(x, w), x, create_graph=True)[0].sum(), w, allow_unused=True)[0]
    results.append([encode(loss), encode(x.grad), encode(w.grad), encode(second)])
print(json.dumps(results))`,
        import.meta.dirname,
      ),
    ) as Recorded[][];
    torch.setNumThreads(1);
    for (const [at, [run, source]] of FUNCTIONS.entries()) {
      torch.tidy(() => {
        torch.manualSeed(0);
        const x = torch.randn([3, 4], { requiresGrad: true });
        const w = torch.randn([4, 2], { requiresGrad: true });
        const loss = run(x, w);
        loss.backward();
        const [first] = torch.autograd.grad(run(x, w), x, { createGraph: true });
        const [second] = torch.autograd.grad(first!.sum(), w, { allowUnused: true });
        const found = [loss, x.grad, w.grad, second].map((tensor, place) =>
          difference(tensor, expected[at]![place]!),
        );
        expect([source, ...found]).toEqual([source, null, null, null, null]);
      });
    }
  });

  test("accumulates, and starts again after null", () => {
    const x = leaf([1, 2]);
    x.mul(3).sum().backward();
    const gradient = x.grad!;
    x.mul(4).sum().backward();
    expect(x.grad === gradient).toBe(true);
    expect(gradient.tolist()).toEqual([7, 7]);
    x.grad = null;
    expect([x.grad, gradient.isAlive]).toEqual([null, false]);
    x.mul(5).sum().backward();
    expect(x.grad!.tolist()).toEqual([5, 5]);
  });

  test("takes a gradient, keeps the graph, limits the leaves", () => {
    const x = leaf([1, 2]);
    const y = leaf([3, 4]);
    const z = x.mul(y);
    z.backward(torch.tensor([1, 10]), { retainGraph: true, inputs: [x] });
    expect([x.grad!.tolist(), y.grad]).toEqual([[3, 40], null]);
    z.backward(torch.tensor([1, 1]));
    expect([x.grad!.tolist(), y.grad!.tolist()]).toEqual([
      [6, 44],
      [1, 2],
    ]);
    expect(() => z.backward(torch.tensor([1, 1]))).toThrow(/second time/);
    expect(() => x.mul(2).backward()).toThrow(/scalar outputs/);
    expect(() => torch.ones([1]).backward()).toThrow(/does not require grad/);
  });

  test("from several tensors", () => {
    const x = leaf([2]);
    torch.autograd.backward([x.mul(2), x.mul(3)], [torch.tensor([1]), torch.tensor([10])]);
    expect(x.grad!.tolist()).toEqual([32]);
  });

  test("gradients of other tensors are kept on request", () => {
    const x = leaf([1]);
    const y = x.mul(2);
    y.retainGrad();
    y.mul(3).backward();
    expect([y.grad!.tolist(), y.isLeaf, y.gradFn, x.gradFn]).toEqual([
      [3],
      false,
      "MulBackward1",
      null,
    ]);
  });

  test("a gradient may be set", () => {
    const x = leaf([1, 2]);
    const given = torch.tensor([5, 6]);
    x.grad = given;
    expect([x.grad!.tolist(), x.grad!.isSame(given)]).toEqual([[5, 6], true]);
    x.grad = null;
    expect(given.tolist()).toEqual([5, 6]);
    expect(() => {
      x.grad = torch.ones([3]);
    }).toThrow(/size|shape/);
  });
});

describe("autograd.grad", () => {
  test("gives gradients without accumulating", () => {
    const x = leaf([1, 2]);
    const [gradient] = torch.autograd.grad(x.pow(2).sum(), x);
    expect([gradient!.tolist(), x.grad]).toEqual([[2, 4], null]);
    const [weighted] = torch.autograd.grad(x.pow(2), [x], { gradOutputs: torch.tensor([1, 10]) });
    expect(weighted!.tolist()).toEqual([2, 40]);
  });

  test("inputs that do not matter", () => {
    const x = leaf([1]);
    const y = leaf([1]);
    expect(torch.autograd.grad(x.mul(2), [x, y], { allowUnused: true })[1]).toBeNull();
    expect(() => torch.autograd.grad(x.mul(2), [x, y])).toThrow(/to not have been used/);
    expect(() => torch.autograd.grad(x.mul(2), 1 as never)).toThrow(
      /'inputs' expected a Tensor or an array of Tensors, got number 1/,
    );
  });

  test("agrees with finite differences", () => {
    torch.manualSeed(1);
    const x = torch.randn([4], { dtype: "float64", requiresGrad: true });
    const f = (v: Tensor) => v.sin().mul(v.exp()).cumsum(0).pow(2).sum();
    const [gradient] = torch.autograd.grad(f(x), x);
    const step = 1e-6;
    for (let at = 0; at < 4; at += 1) {
      const shift = torch.zeros([4], { dtype: "float64" }).set([at], step);
      const slope = torch.noGrad(
        () => (f(x.add(shift)).number() - f(x.sub(shift)).number()) / (2 * step),
      );
      expect(gradient!.at(at).number()).toBeCloseTo(slope, 5);
    }
  });
});

describe("modes", () => {
  const x = leaf([1, 2]);

  test("noGrad and enableGrad hold for a function, and end when it throws", () => {
    expect(torch.noGrad(() => x.mul(2).requiresGrad)).toBe(false);
    expect(torch.noGrad(() => torch.enableGrad(() => x.mul(2).requiresGrad))).toBe(true);
    expect(() =>
      torch.noGrad(() => {
        throw new Error("mine");
      }),
    ).toThrow("mine");
    expect(torch.isGradEnabled()).toBe(true);
  });

  test("guards hold for a block", () => {
    {
      using _ = torch.noGradGuard();
      expect(x.mul(2).requiresGrad).toBe(false);
      {
        using _inner = torch.enableGradGuard();
        expect(x.mul(2).requiresGrad).toBe(true);
      }
      expect(torch.isGradEnabled()).toBe(false);
    }
    expect(torch.isGradEnabled()).toBe(true);
    torch.setGradEnabled(false);
    expect(torch.isGradEnabled()).toBe(false);
    torch.setGradEnabled(true);
  });

  test("inference mode makes tensors that autograd never sees", () => {
    const y = torch.inferenceMode(() => {
      expect(torch.isInferenceModeEnabled()).toBe(true);
      return x.mul(2);
    });
    expect([y.isInference(), y.requiresGrad, torch.isInferenceModeEnabled()]).toEqual([
      true,
      false,
      false,
    ]);
    expect(() => x.mul(y)).toThrow(/[Ii]nference/);
    const outer = torch.inferenceModeGuard();
    const inner = torch.inferenceModeGuard(false);
    expect(torch.isInferenceModeEnabled()).toBe(false);
    expect(() => outer.dispose()).toThrow(/out of order/);
    inner.dispose();
    outer.dispose();
    expect(torch.isInferenceModeEnabled()).toBe(false);
  });

  test("promises are refused", () => {
    for (const run of [torch.noGrad, torch.enableGrad, torch.inferenceMode]) {
      expect(() => run(async () => x.mul(2))).toThrow(/returned a promise/);
    }
    expect(() => torch.autocast({ deviceType: "cpu" }, async () => x)).toThrow(
      /torch\.autocast: .*promise/,
    );
    expect([
      torch.isGradEnabled(),
      torch.isInferenceModeEnabled(),
      torch.isAutocastEnabled("cpu"),
    ]).toEqual([true, false, false]);
  });

  test("leaves that require gradients refuse to be written", () => {
    expect(() => x.add_(1)).toThrow(/leaf Variable/);
    expect(torch.noGrad(() => x.clone().add_(1)).tolist()).toEqual([2, 3]);
    expect(() => torch.tensor([1n]).requiresGrad_()).toThrow(/floating point/);
    expect(() => {
      x.mul(2).requiresGrad = false;
    }).toThrow(/leaf/);
  });
});

describe("autocast", () => {
  const w = torch.ones([4, 4]);

  test("casts what PyTorch casts", () => {
    const [product, sum, loss] = torch.autocast({ deviceType: "cpu" }, () => {
      expect([torch.isAutocastEnabled("cpu"), torch.getAutocastDtype("cpu")]).toEqual([
        true,
        "bfloat16",
      ]);
      const product = w.matmul(w);
      return [product, w.add(w), torch.nnFunctional.mseLoss(product, w)];
    });
    expect([product!.dtype, sum!.dtype, loss!.dtype]).toEqual(["bfloat16", "float32", "float32"]);
    expect(torch.isAutocastEnabled("cpu")).toBe(false);
  });

  test("takes a dtype, nests and can be turned off inside", () => {
    torch.autocast({ deviceType: "cpu", dtype: "float16" }, () => {
      expect(w.matmul(w).dtype).toBe("float16");
      torch.autocast({ deviceType: "cpu", enabled: false }, () =>
        expect(w.matmul(w).dtype).toBe("float32"),
      );
      expect(w.matmul(w).dtype).toBe("float16");
    });
    {
      using _ = torch.autocastGuard({ deviceType: "cpu" });
      expect(w.matmul(w).dtype).toBe("bfloat16");
    }
    const outer = torch.autocastGuard({ deviceType: "cpu" });
    const inner = torch.autocastGuard({ deviceType: "cpu" });
    expect(() => outer.dispose()).toThrow(/autocast ended out of order/);
    inner.dispose();
    outer.dispose();
    expect(() => torch.autocast({} as never, () => 1)).toThrow(
      /'deviceType' expected a device type, got undefined/,
    );
    expect(
      (() => {
        try {
          return torch.autocast({ deviceType: "toaster" }, () => 1);
        } catch (error) {
          return error;
        }
      })() as WaveGPTError,
    ).toBeInstanceOf(Error);
  });
});
