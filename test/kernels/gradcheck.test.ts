import { expect, test } from "vitest";
import { torch } from "../../lib/index.js";
import { gradcheck } from "./gradcheck.js";

const double = (shape: number[]) => torch.randn(shape, { dtype: "float64" }).requiresGrad_(true);

test("gradients of libtorch's operators pass, of several inputs and outputs", () => {
  torch.manualSeed(1);
  const [x, y] = [double([3, 4]), double([4, 2])];
  expect(gradcheck((a, b) => [a!.matmul(b!).tanh(), a!.exp()], [x, y])).toEqual([]);
});

test("a gradient that is cut off is found", () => {
  torch.manualSeed(1);
  const x = double([5]);
  const wrong = gradcheck((a) => a!.mul(a!.detach()), [x]);
  expect(wrong).toHaveLength(1);
  expect(wrong[0]).toMatch(/^input 0 \[5\], element \d: gradient /);
});
