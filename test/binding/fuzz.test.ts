import { expect, test } from "vitest";
import { binding } from "../../lib/binding.js";
import { fuzz, fuzzOperators } from "./fuzz.js";

test("no call of any operator ends the process, over at least 100,000 calls", async () => {
  const operators = binding.operatorNames().length;
  const { total, failures } = await fuzzOperators(1, 36, operators);
  expect(failures).toEqual([]);
  expect(total.operators).toBe(operators);
  expect(total.calls).toBeGreaterThanOrEqual(100_000);
  // Kernels are reached, not only the checks before them.
  expect(total.succeeded).toBeGreaterThan(total.calls / 5);
  expect(total.calls).toBe((operators - total.refused) * 36);
}, 600_000);

test("no call of any function of the binding ends the process", async () => {
  const count = await fuzz("fuzz-functions.mjs", 1, 60);
  expect(count.calls).toBe(Object.keys(binding).length * 60);
  expect(count.succeeded).toBeGreaterThan(count.calls / 5);
}, 120_000);
