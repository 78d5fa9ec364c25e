// @module-tag gpu

import { expect, test } from "vitest";
import { torch } from "../../lib/index.js";
import { describeOnDevice, device, deviceType, float32Tolerance } from "../device.js";

describeOnDevice("tensors", () => {
  test("are made on the device, computed there and read back", () => {
    const x = torch.tensor(
      [
        [1, 2],
        [3, 4],
      ],
      { device, requiresGrad: true },
    );
    const y = x.matmul(torch.ones([2, 2], { device })).relu();
    y.sum().backward();
    expect([x.device, y.device, x.grad!.device].map((name) => name.split(":")[0])).toEqual([
      deviceType,
      deviceType,
      deviceType,
    ]);
    expect([y.tolist(), x.grad!.tolist(), y.at(1, 1).item()]).toEqual([
      [
        [3, 3],
        [7, 7],
      ],
      [
        [2, 2],
        [2, 2],
      ],
      7,
    ]);
    expect(y.toTypedArray()).toEqual(Float32Array.of(3, 3, 7, 7));
  });

  test("move there and back", () => {
    const x = torch.tensor([1, 2, 3]);
    const there = x.to(device);
    expect(there.cpu().equal(x)).toBe(true);
    expect(there.to({ dtype: "float16" }).device).toBe(there.device);
    expect(torch.zerosLike(there).device).toBe(there.device);
  });

  test("print where they are", () => {
    const x = torch.tensor([1.5, 2], { device });
    const suffix = deviceType === "cpu" ? "" : `, device='${x.device}'`;
    expect(String(x)).toBe(`tensor([1.5000, 2.0000]${suffix})`);
  });

  test("are indexed by arrays and masks from here", () => {
    const x = torch.arange(6, { device, dtype: "float32" }).view(2, 3);
    x.set([0, [0, 2]], -1).set([x.gt(3)], 9);
    expect([x.tolist(), x.at("...", [true, false, true]).tolist()]).toEqual([
      [
        [-1, 1, -1],
        [3, 9, 9],
      ],
      [
        [-1, -1],
        [3, 9],
      ],
    ]);
  });

  test("repeat their random numbers", () => {
    const generator = new torch.Generator(device).manualSeed(3);
    const state = generator.getState();
    const first = torch.randn([100], { device, generator });
    generator.setState(state);
    expect(torch.randn([100], { device, generator }).equal(first)).toBe(true);
    torch.manualSeed(3);
    const kept = torch.getRngState(device);
    const drawn = torch.rand([50], { device });
    torch.setRngState(kept, device);
    expect(torch.rand([50], { device }).equal(drawn)).toBe(true);
  });

  test("agree with the CPU", () => {
    torch.manualSeed(0);
    const [x, w] = [torch.randn([16, 32]), torch.randn([32, 8])];
    const run = (a: typeof x, b: typeof x) => torch.layerNorm(a.matmul(b).softmax(-1), [8]);
    const difference = run(x.to(device), w.to(device)).cpu().sub(run(x, w)).abs().max().number();
    expect(difference).toBeLessThanOrEqual(deviceType === "cpu" ? 0 : 10 * float32Tolerance);
  });
});
