import { afterEach, describe, expect, test } from "vitest";
import { binding } from "../../lib/binding.js";
import { aten, errorOf } from "./operator.js";

const zeros = aten("zeros");
const add = aten("add", "Tensor");

afterEach(() => {
  while (binding.scopeDepth() > 0) binding.closeScope(binding.scopeDepth());
});

describe("scopes", () => {
  test("a scope frees its own temporaries and nothing else", () => {
    const outside = zeros([2]);
    const before = binding.memory().handles;
    const depth = binding.openScope();
    const inside = add(outside, outside);
    binding.openScope();
    const innermost = add(inside, inside);
    expect(binding.closeScope(2)).toBe(1);
    expect(binding.isAlive(innermost)).toBe(false);
    expect(binding.isAlive(inside)).toBe(true);
    expect(binding.closeScope(depth)).toBe(1);
    expect(binding.isAlive(inside)).toBe(false);
    expect(binding.isAlive(outside)).toBe(true);
    expect(binding.memory().handles).toBe(before);
    binding.release(outside);
  });

  test("a kept tensor outlives its scope", () => {
    const depth = binding.openScope();
    const kept = zeros([3]);
    binding.keep(kept);
    expect(binding.isScoped(kept)).toBe(false);
    expect(binding.closeScope(depth)).toBe(0);
    expect(binding.shape(kept)).toEqual([3]);
    binding.release(kept);
    expect(binding.isAlive(kept)).toBe(false);
  });

  test("a tensor moves out of the scope that ends, one level, once", () => {
    const outer = binding.openScope();
    const inner = binding.openScope();
    const moved = zeros([1]);
    expect(binding.moveToOuterScope(moved, inner)).toBe(false);
    expect(binding.moveToOuterScope(moved, inner)).toBe(false);
    binding.closeScope(inner);
    expect(binding.isAlive(moved)).toBe(true);
    expect(binding.isScoped(moved)).toBe(true);
    binding.closeScope(outer);
    expect(binding.isAlive(moved)).toBe(false);

    const only = binding.openScope();
    const free = zeros([1]);
    expect(binding.moveToOuterScope(free, only)).toBe(true);
    binding.closeScope(only);
    expect(binding.isAlive(free)).toBe(true);
    binding.release(free);
  });

  test("closing out of order throws, and frees nothing", () => {
    const outer = binding.openScope();
    const inner = binding.openScope();
    const tensor = zeros([1]);
    const error = errorOf(() => binding.closeScope(outer));
    expect(error.code).toBe("ERR_WAVEGPT_SCOPE");
    expect(error.message).toContain("scope 1 was closed while the innermost open scope is 2");
    expect(binding.isAlive(tensor)).toBe(true);
    binding.closeScope(inner);
    binding.closeScope(outer);
    expect(errorOf(() => binding.closeScope(outer)).code).toBe("ERR_WAVEGPT_SCOPE");
    expect(errorOf(() => binding.closeScope(0)).code).toBe("ERR_WAVEGPT_SCOPE");
  });

  test("a freed handle stays stale when its slot is used again", () => {
    const first = zeros([1]);
    binding.release(first);
    const second = zeros([2]);
    expect(second).not.toBe(first);
    expect(second % 2 ** 32).toBe(first % 2 ** 32);
    const error = errorOf(() => add(second, first));
    expect(error).toMatchObject({
      code: "ERR_WAVEGPT_ARGUMENT",
      operator: "aten::add.Tensor",
      argument: "other",
    });
    expect(error.message).toContain("disposed, or whose scope has ended");
    binding.release(first);
    expect(binding.isAlive(second)).toBe(true);
    binding.release(second);
  });

  test("the counters follow 100,000 temporaries", () => {
    const a = zeros([16]);
    const before = binding.memory();
    for (let round = 0; round < 1000; round++) {
      const depth = binding.openScope();
      for (let at = 0; at < 100; at++) add(a, a);
      expect(binding.closeScope(depth)).toBe(100);
    }
    expect(binding.memory()).toEqual(before);
    const large = zeros([1 << 20]);
    expect(binding.memory().bytes - before.bytes).toBe(4 << 20);
    expect(binding.memory().externalBytes - before.externalBytes).toBe(4 << 20);
    binding.release(large);
    binding.release(a);
  });

  test("two handles of one storage count its bytes once", () => {
    const base = zeros([4, 4]);
    const before = binding.memory().bytes;
    const view = aten("view")(base, [16]);
    expect(binding.memory().bytes).toBe(before);
    expect(binding.dataPointer(view)).toBe(binding.dataPointer(base));
    binding.release(base);
    expect(binding.shape(view)).toEqual([16]);
    binding.release(view);
  });
});
