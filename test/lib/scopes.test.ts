import { describe, expect, test } from "vitest";
import { Tensor, torch, WaveGPTError } from "../../lib/index.js";

const live = () => torch.memory().handles;

function errorOf(run: () => unknown): WaveGPTError {
  try {
    run();
  } catch (error) {
    return error as WaveGPTError;
  }
  throw new Error("expected an error");
}

describe("scopes", () => {
  test("free what was made in them, in one go", () => {
    const outside = torch.ones([4]);
    const before = live();
    const scope = torch.scope();
    const temporary = outside.add(1).mul(2);
    expect(torch.scopeDepth()).toBe(1);
    expect(live()).toBe(before + 2);
    expect(scope.close()).toBe(2);
    expect(torch.scopeDepth()).toBe(0);
    expect([live(), temporary.isAlive, outside.isAlive]).toEqual([before, false, true]);
  });

  test("end with their block", () => {
    const before = live();
    {
      using _ = torch.scope();
      torch.ones([4]).add(1);
      expect(live()).toBe(before + 2);
    }
    expect(live()).toBe(before);
  });

  test("closed twice do nothing", () => {
    const scope = torch.scope();
    scope.close();
    expect(scope.close()).toBe(0);
    expect(() => scope.dispose()).not.toThrow();
  });

  test("closed out of order throw and stay open", () => {
    const outer = torch.scope();
    const inner = torch.scope();
    const error = errorOf(() => outer.close());
    expect(error).toBeInstanceOf(WaveGPTError);
    expect([error.code, error.message]).toEqual([
      "ERR_WAVEGPT_SCOPE",
      "scope closed out of order: scope 1 was closed while the innermost open scope is 2",
    ]);
    inner.close();
    outer.close();
    expect(torch.scopeDepth()).toBe(0);
  });

  test("left open in tidy are closed with it, and closing them later closes no other", () => {
    const before = live();
    let forgotten: { close(): number } | undefined;
    torch.tidy(() => {
      forgotten = torch.scope();
      torch.ones([2]);
    });
    expect([live(), torch.scopeDepth()]).toEqual([before, 0]);
    const scope = torch.scope();
    torch.ones([2]);
    expect([forgotten!.close(), torch.scopeDepth()]).toEqual([0, 1]);
    expect(scope.close()).toBe(1);
  });

  test("do not own gradients, kept tensors or tensors from outside", () => {
    const weight = torch.ones([3], { requiresGrad: true });
    const scope = torch.scope();
    const kept = torch.keep(weight.mul(2));
    weight.mul(3).sum().backward();
    const gradient = weight.grad!;
    scope.close();
    expect(kept.tolist()).toEqual([2, 2, 2]);
    expect(gradient.tolist()).toEqual([3, 3, 3]);
    expect(weight.grad).toBe(gradient);
    kept.dispose();
  });

  test("leave a synchronous training loop without growth", () => {
    const weight = torch.ones([3], { requiresGrad: true });
    const step = () =>
      torch.tidy(() => {
        weight.mul(2).sum().backward();
        torch.noGrad(() => weight.sub_(weight.grad!, { alpha: 0.1 }));
        weight.grad = null;
      });
    step();
    const before = torch.memory();
    for (let at = 0; at < 50; at += 1) step();
    expect(torch.memory()).toMatchObject({ handles: before.handles, bytes: before.bytes });
  });
});

describe("tidy", () => {
  test("returns the function's result and moves the tensors in it outwards", () => {
    const before = live();
    const result = torch.tidy(() => {
      const x = torch.ones([2]);
      return { sum: x.add(1), list: [x.mul(3), { deep: x.mul(4) }], twice: x, again: x, count: 7 };
    });
    expect(live()).toBe(before + 4);
    expect(result.list[0]).toBeInstanceOf(Tensor);
    expect([result.sum.tolist(), result.again.tolist(), result.count]).toEqual([[2, 2], [1, 1], 7]);
  });

  test("moves one scope at a time", () => {
    const before = live();
    torch.tidy(() => {
      const inner = torch.tidy(() => {
        const own = torch.ones([2]);
        expect(torch.tidy(() => own)).toBe(own); // of a scope further out: stays there
        return own;
      });
      expect(inner.isAlive).toBe(true);
    });
    expect(live()).toBe(before);
  });

  test("returns named tuples whole", () => {
    const { values, indices } = torch.tidy(() => torch.tensor([3, 1, 2]).sort());
    expect([values.tolist(), indices.tolist()]).toEqual([
      [1, 2, 3],
      [1, 2, 0],
    ]);
  });

  test("frees everything where the function throws, inner scopes included", () => {
    const before = live();
    expect(() =>
      torch.tidy(() => {
        torch.scope();
        torch.ones([2]);
        throw new Error("mine");
      }),
    ).toThrow("mine");
    expect([live(), torch.scopeDepth()]).toEqual([before, 0]);
  });

  test("refuses promises", async () => {
    const before = live();
    const error = errorOf(() =>
      torch.tidy(async () => {
        torch.ones([2]);
        await Promise.resolve();
        throw new Error("later");
      }),
    );
    expect([error.code, error.message]).toEqual([
      "ERR_WAVEGPT_SCOPE",
      expect.stringMatching(/torch\.tidy: the function returned a promise; it must be synchronous/),
    ]);
    await new Promise((resolve) => setImmediate(resolve));
    expect([live(), torch.scopeDepth()]).toEqual([before, 0]);
  });
});

describe("one tensor", () => {
  test("is freed by dispose and by `using`; a view keeps the memory", () => {
    const before = live();
    const x = torch.ones([4]);
    const view = x.at("1:3");
    x.dispose();
    x.dispose();
    expect([x.isAlive, view.tolist()]).toEqual([false, [1, 1]]);
    view[Symbol.dispose]();
    {
      using _ = torch.ones([4]);
    }
    expect(live()).toBe(before);
  });

  test("used after its end throws an error that names operator and argument", () => {
    const x = torch.ones([2]);
    const gone = torch.ones([2]);
    gone.dispose();
    const scoped = torch.tidy(() => {
      torch.ones([2]);
      return { hidden: () => torch.ones([2]) };
    });
    expect(scoped.hidden().isAlive).toBe(true);
    for (const [run, operator, argument] of [
      [() => x.add(gone), "aten::add.Tensor", "other"],
      [() => gone.add(x), "aten::add.Tensor", "self"],
      [() => torch.cat([x, gone]), "aten::cat", "tensors"],
      [() => gone.sum(0, { keepdim: true }), "aten::sum.dim_IntList", "self"],
    ] as const) {
      const error = errorOf(run);
      expect(error.code).toBe("ERR_WAVEGPT_ARGUMENT");
      expect([error.operator, error.argument]).toEqual([operator, argument]);
      expect(error.message).toMatch(/disposed, or whose scope has ended/);
    }
    for (const run of [
      () => gone.shape,
      () => gone.item(),
      () => gone.tolist(),
      () => gone.backward(),
    ]) {
      expect(run).toThrow(/disposed, or whose scope has ended/);
    }
  });

  test("is freed some time after its object is unreachable", async () => {
    const { setFlagsFromString } = await import("node:v8");
    const { runInNewContext } = await import("node:vm");
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    const before = live();
    (() => {
      for (let at = 0; at < 1000; at += 1) torch.ones([100]).add(1);
    })();
    expect(live()).toBeGreaterThan(before + 1000);
    for (let round = 0; round < 50 && live() > before; round += 1) {
      collect();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(live()).toBeLessThanOrEqual(before);
  });
});
