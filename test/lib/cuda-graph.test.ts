// @module-tag gpu

import { describe, expect, it } from "vitest";
import { binding } from "../../lib/binding.js";
import { nn, optim, type Tensor, torch, type WaveGPTError } from "../../lib/index.js";
import { device } from "../device.js";
import { leaf } from "../kernels/compare.js";
import { needsCudaKernels } from "../kernels/cuda-kernels.js";

const { fused } = nn;
const DROPOUT = { p: 0.3, training: true };

function errorOf(run: () => unknown): WaveGPTError {
  try {
    run();
  } catch (error) {
    return error as WaveGPTError;
  }
  throw new Error("nothing was thrown");
}

describe("without a device", () => {
  it("a graph says why there can be none", (context) => {
    const reason = torch.cuda.CUDAGraph.whyUnavailable();
    if (reason === null) context.skip("graphs can be captured here");
    expect(reason).toMatch(/no CUDA device|wavegpt_cuda/);
    const { code, message } = errorOf(() => new torch.cuda.CUDAGraph());
    expect(code).toBe("ERR_WAVEGPT_CUDA_GRAPH");
    expect(message).toBe(`torch.cuda.CUDAGraph: ${reason}`);
    expect(torch.cuda.isCurrentStreamCapturing()).toBe(false);
  });

  it("arguments of the wrong kind are named", () => {
    const wrong = [
      [() => new torch.cuda.CUDAGraph("the first"), /device such as/],
      [() => binding.createCudaGraph("cpu"), /'device' expected a CUDA device/],
      [() => binding.launchCudaGraph({}), /'graph' expected what createCudaGraph returned/],
      [() => torch.cuda.memoryAllocated("cpu"), /'device' expected a CUDA device/],
    ] as const;
    for (const [run, message] of wrong) {
      const error = errorOf(run);
      expect(error.code).toBe("ERR_WAVEGPT_ARGUMENT");
      expect(error.message).toMatch(message);
    }
  });
});

describe("the seeds of captured dropout", () => {
  const dropoutMask = torch.ops.find("wavegpt::dropout_mask") as (
    size: readonly number[],
    p: number,
    seed: number | bigint,
  ) => Tensor;
  const ones = torch.ones([1000]);
  const onMeta = () => torch.zeros([1000], { device: "meta" });
  const inCapture = (places: Tensor, run: () => void) => {
    binding.beginSeedCapture(places.handle);
    try {
      run();
    } finally {
      binding.endSeedCapture();
    }
  };

  it("are drawn for a replay as the operators themselves would have, in their order", () => {
    torch.manualSeed(5);
    const before = torch.getRngState();
    const places = torch.zeros([4], { dtype: "int64" });
    binding.beginSeedCapture(places.handle);
    for (let i = 0; i < 3; i++) fused.dropout(onMeta(), DROPOUT);
    // These draw nothing.
    fused.dropout(onMeta(), { p: 0.3, training: false });
    fused.dropout(onMeta(), { p: 0, training: true });
    expect(binding.endSeedCapture()).toBe(3);
    expect(torch.equal(torch.getRngState(), before)).toBe(true);
    for (let replay = 0; replay < 2; replay++) {
      const random = torch.getRngState();
      const expected = Array.from({ length: 3 }, () => fused.dropout(ones, DROPOUT));
      const after = torch.getRngState();
      torch.setRngState(random);
      binding.drawCapturedSeeds(places.handle, 3);
      expect(torch.equal(torch.getRngState(), after)).toBe(true);
      const seeds = places.toTypedArray() as BigInt64Array;
      expect(seeds[3]).toBe(0n);
      for (const [i, dropped] of expected.entries()) {
        expect(torch.equal(dropoutMask([1000], DROPOUT.p, seeds[i]!), dropped)).toBe(true);
      }
    }
  });

  it("are refused to what runs on the CPU", () => {
    const places = torch.zeros([4], { dtype: "int64" });
    const qkv = torch.ones([1, 4, 24]);
    for (const run of [
      () => fused.dropout(ones, DROPOUT),
      () => fused.causalAttention(qkv, 2, DROPOUT),
    ]) {
      expect(() => inCapture(places, run)).toThrow(
        /while a CUDA graph is captured, .* dropout elsewhere cannot read them/,
      );
    }
  });

  it("must have a place", () => {
    const places = torch.zeros([1], { dtype: "int64" });
    const twice = () => {
      fused.dropout(onMeta(), DROPOUT);
      fused.dropout(onMeta(), DROPOUT);
    };
    expect(() => inCapture(places, twice)).toThrow(/at most 1 operators that drop/);
    expect(() => binding.beginSeedCapture(ones.handle)).toThrow(/int64/);
    expect(() => binding.drawCapturedSeeds(places.handle, 2)).toThrow(/at least 2 int64/);
    // None of these left a capture behind.
    expect(fused.dropout(ones, DROPOUT).eq(0).any().item()).toBe(true);
  });
});

describe("a graph", () => {
  it("computes anew what was copied into its input, and nothing while it is captured", (context) => {
    needsCudaKernels(context);
    using graph = new torch.cuda.CUDAGraph(device);
    const x = torch.ones([8], { device });
    const y = torch.zeros([8], { device });
    const work = () => y.copy_(x.mul(3).add(1));
    graph.warmUp(work);
    expect(y.tolist()).toEqual(Array(8).fill(4));
    y.zero_();
    graph.capture(() => {
      expect(torch.cuda.isCurrentStreamCapturing()).toBe(true);
      work();
    });
    expect(torch.cuda.isCurrentStreamCapturing()).toBe(false);
    expect(y.tolist()).toEqual(Array(8).fill(0));
    for (const value of [2, 5]) {
      x.fill_(value);
      graph.replay();
      expect(y.tolist()).toEqual(Array(8).fill(3 * value + 1));
    }
    graph.reset();
    expect(errorOf(() => graph.replay()).code).toBe("ERR_WAVEGPT_CUDA_GRAPH");
  });

  it("drops other elements at each replay, those that the operators would have, and backward the same", (context) => {
    needsCudaKernels(context);
    using graph = new torch.cuda.CUDAGraph(device);
    const x = leaf(torch.ones([37, 96]).to(device));
    const results = Array.from({ length: 4 }, () => torch.zeros([37, 96], { device }));
    const work = () => {
      using _ = torch.scope();
      x.grad = null;
      const dropped = fused.dropout(x, DROPOUT);
      const added = fused.addDropout(x.detach(), x, DROPOUT);
      // libtorch's own, of the device's generator.
      const own = nn.functional.dropout(x, { p: 0.3, training: true });
      dropped.add(added).sum().backward();
      for (const [i, result] of [dropped, added, own, x.grad!].entries()) {
        results[i]!.copy_(result);
      }
    };
    const read = () => results.map((result) => result.cpu());
    graph.warmUp(work);
    torch.manualSeed(5);
    const expected = [0, 1, 2].map(() => {
      work();
      return read();
    });
    torch.manualSeed(5);
    graph.capture(work);
    const got = [0, 1, 2].map(() => {
      graph.replay();
      return read();
    });
    for (const [replay, tensors] of got.entries()) {
      for (const [i, tensor] of tensors.entries()) {
        expect(torch.equal(tensor, expected[replay]![i]!)).toBe(true);
      }
      const [dropped, added, , gradient] = tensors;
      expect(torch.equal(gradient!, dropped!.add(added!.sub(1)))).toBe(true);
    }
    for (const i of results.keys()) expect(torch.equal(got[0]![i]!, got[1]![i]!)).toBe(false);
  });

  it("drops in the norm's kernel by the same seeds", (context) => {
    needsCudaKernels(context);
    using graph = new torch.cuda.CUDAGraph(device);
    const parameters = { weight: leaf(torch.ones([96]).to(device)), bias: null, eps: 1e-5 };
    const x = leaf(torch.randn([37, 96]).to(device));
    const sum = torch.zeros([37, 96], { device });
    const gradient = torch.zeros([37, 96], { device });
    const work = () => {
      using _ = torch.scope();
      x.grad = null;
      const [added, normed] = fused.addDropoutLayerNorm(x.detach(), x, parameters, DROPOUT);
      normed.pow(2).sum().add(added.sum()).backward();
      sum.copy_(added);
      gradient.copy_(x.grad!);
    };
    graph.warmUp(work);
    torch.manualSeed(5);
    work();
    const expected = [sum.cpu(), gradient.cpu()];
    torch.manualSeed(5);
    graph.capture(work);
    graph.replay();
    expect(torch.equal(sum.cpu(), expected[0]!)).toBe(true);
    expect(torch.equal(gradient.cpu(), expected[1]!)).toBe(true);
  });

  it("is empty after a function that failed, and the device goes on", (context) => {
    needsCudaKernels(context);
    using graph = new torch.cuda.CUDAGraph(device);
    const x = torch.ones([4], { device });
    const failing: (() => unknown)[] = [
      () => x.add(1).sum().number(), // waits for the device
      () => {
        throw new Error("mine");
      },
      () => graph.capture(() => x.add(1)),
      () => Promise.resolve(),
    ];
    for (const run of failing) {
      expect(() => graph.capture(run)).toThrow();
      expect(torch.cuda.isCurrentStreamCapturing()).toBe(false);
      expect(() => graph.replay()).toThrow(/nothing was captured/);
      expect(x.add(1).sum().number()).toBe(8);
    }
    const y = torch.zeros([4], { device });
    graph.capture(() => y.copy_(x.add(1)));
    graph.replay();
    expect(y.sum().number()).toBe(8);
  });

  it("takes no optimizer's step that a replay could not repeat", (context) => {
    needsCudaKernels(context);
    const parameter = new nn.Parameter(torch.ones([4], { device }));
    parameter.grad = torch.ones([4], { device });
    const refused: [optim.Optimizer, RegExp][] = [
      [new optim.SGD([parameter], { lr: 0.1 }), /Adam and AdamW can be captured/],
      [new optim.AdamW([parameter]), /expected `capturable: true`/],
      [new optim.AdamW([parameter], { capturable: true }), /take a step before/],
    ];
    for (const [optimizer, message] of refused) {
      using graph = new torch.cuda.CUDAGraph(device);
      expect(() => graph.capture(() => optimizer.step())).toThrow(message);
      optimizer.dispose();
    }
  });
});
