// @module-tag gpu

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { binding } from "../../lib/binding.js";
import { type DType, type Tensor, torch } from "../../lib/index.js";
import { packageRoot } from "../../lib/package-root.js";
import { device } from "../device.js";
import { distance, leaf } from "./compare.js";
import { needsCudaKernels } from "./cuda-kernels.js";

const addDropoutLayerNorm = torch.ops.find("wavegpt::add_dropout_layer_norm.default") as (
  residual: Tensor,
  x: Tensor,
  weight: Tensor | null,
  bias: Tensor | null,
  eps: number,
  p: number,
  train: boolean,
) => [sum: Tensor, normed: Tensor];
const layerNorm = torch.ops.find("wavegpt::layer_norm.default") as (
  x: Tensor,
  weight: Tensor | null,
  bias: Tensor | null,
  eps: number,
) => Tensor;
const addDropout = torch.ops.find("wavegpt::add_dropout.default") as (
  residual: Tensor,
  x: Tensor,
  p: number,
  train: boolean,
) => Tensor;
const dropout = torch.ops.find("wavegpt::dropout.default") as (
  x: Tensor,
  p: number,
  train: boolean,
) => Tensor;
const dropoutMask = torch.ops.find("wavegpt::dropout_mask") as (
  size: readonly number[],
  p: number,
  seed: number,
) => Tensor;
const linearCrossEntropy = torch.ops.find("wavegpt::linear_cross_entropy") as (
  x: Tensor,
  weight: Tensor,
  bias: Tensor | null,
  target: Tensor,
  ignoreIndex?: number,
) => Tensor;

const EPS = 1e-5;
const P = 0.3;

/** Of float64 on the CPU, relative to the norm, by the coarsest type of the inputs. */
const TOLERANCE: Partial<Record<DType, number>> = {
  float32: 2e-6,
  bfloat16: 8e-3,
  float16: 1e-3,
};

type Inputs = readonly (Tensor | null)[];

/** The outputs and the gradients of all inputs, dropping what seed 5 drops. */
function derive(inputs: Inputs, compute: (...inputs: Tensor[]) => Tensor[]): Tensor[] {
  const leaves = inputs.map((input) => input && leaf(input));
  torch.manualSeed(5);
  const outputs = compute(...(leaves as Tensor[]));
  torch.manualSeed(6);
  // Exact in every type.
  const gradOutputs = outputs.map((output) =>
    torch.randn(output.shape).to("bfloat16").to(output.dtype).to(output.device),
  );
  const wanted = leaves.filter((input) => input !== null);
  return [...outputs, ...torch.autograd.grad(outputs, wanted, { gradOutputs })].map((tensor) =>
    tensor!.detach().to("cpu"),
  );
}

/** The same on the device in the inputs' types as on the CPU in float64. */
function expectAsOnCpu(inputs: Inputs, compute: (...inputs: Tensor[]) => Tensor[]): void {
  const got = derive(
    inputs.map((input) => input?.to(device) ?? null),
    compute,
  );
  const expected = derive(
    inputs.map((input) => input?.to("float64") ?? null),
    compute,
  );
  const tolerance = Math.max(...inputs.map((input) => TOLERANCE[input?.dtype ?? "float32"]!));
  for (const [i, tensor] of got.entries()) {
    expect(distance(tensor, expected[i]!)).toBeLessThan(tolerance);
  }
}

/** Channels for 16, 32 and 256 threads a row, whole groups of the generator and parts of them. */
const SHAPES = [
  [1, 3],
  [3, 5],
  [7, 3, 31],
  [5, 128],
  [37, 96],
  [33, 257],
  [3, 1024],
  [2, 5003],
  [2100, 6],
].map((shape) => ({ shape }));

/** Types of the residual and of what is added to it. */
const TYPES: [DType, DType][] = [
  ["float32", "float32"],
  ["float32", "bfloat16"],
  ["float32", "float16"],
  ["bfloat16", "bfloat16"],
  ["float16", "float16"],
];

const normal = (shape: readonly number[], dtype: DType) => torch.randn(shape).to(dtype);

describe.each(TYPES)(
  "kernels for CUDA, residual %s, x %s, as on the CPU",
  (residualType, xType) => {
    test.for(SHAPES)("$shape", ({ shape }, context) => {
      needsCudaKernels(context);
      torch.manualSeed(shape.length);
      const channels = shape.at(-1)!;
      const residual = normal(shape, residualType);
      const x = normal(shape, xType);
      const parameters = [normal([channels], "float32").add(1), normal([channels], "float32")];
      expectAsOnCpu([residual, x, ...parameters], (r, y, w, b) => [
        ...addDropoutLayerNorm(r!, y!, w!, b!, EPS, P, true),
      ]);
      expectAsOnCpu([residual, x], (r, y) => [addDropout(r!, y!, P, true)]);
      expectAsOnCpu([x], (y) => [dropout(y!, P, true)]);
      expectAsOnCpu([x, ...parameters], (y, w, b) => [layerNorm(y!, w!, b!, EPS)]);
      expectAsOnCpu([x], (y) => [layerNorm(y!, null, null, EPS)]);
    });
  },
);

test("the device drops what the CPU drops, and backward drops the same", (context) => {
  needsCudaKernels(context);
  const ones = leaf(torch.ones([1003]).to(device));
  torch.manualSeed(5);
  const dropped = dropout(ones, P, true);
  dropped.sum().backward();
  torch.manualSeed(5);
  const expected = dropout(torch.ones([1003], { dtype: "float64" }), P, true).to("float32");
  expect(torch.equal(dropped.to("cpu"), expected)).toBe(true);
  expect(torch.equal(ones.grad!.to("cpu"), expected)).toBe(true);
});

test("second derivatives drop what the first ones did", (context) => {
  needsCudaKernels(context);
  const twice = (type: DType, where: string) => {
    torch.manualSeed(8);
    const x = leaf(torch.randn([5, 33], { dtype: "float64" }).to(type).to(where));
    torch.manualSeed(5);
    const [, normed] = addDropoutLayerNorm(x, x.mul(x), null, null, EPS, P, true);
    const [first] = torch.autograd.grad([normed.pow(3).sum()], [x], { createGraph: true });
    return torch.autograd.grad([first!.pow(2).sum()], [x])[0]!.to("cpu");
  };
  expect(distance(twice("float32", device), twice("float64", "cpu"))).toBeLessThan(1e-4);
});

describe.each<DType>(["float32", "bfloat16", "float16"])(
  "linear and cross-entropy on CUDA, %s, as on the CPU",
  (dtype) => {
    const sizes = [
      { rows: 1, channels: 2, vocabulary: 1 },
      { rows: 7, channels: 6, vocabulary: 5 },
      { rows: 31, channels: 17, vocabulary: 65 },
      { rows: 300, channels: 64, vocabulary: 1009 },
      // Several chunks of rows.
      { rows: 2500, channels: 16, vocabulary: 30011 },
    ];
    test.for(sizes)(
      "$rows rows of $channels channels over $vocabulary tokens",
      ({ rows, channels, vocabulary }, context) => {
        needsCudaKernels(context);
        torch.manualSeed(rows);
        const target = torch.randint(vocabulary, [rows]);
        // As where a batch ends in padding.
        if (rows > 1) target.narrow(0, rows - 2, 2).fill_(-100);
        const inputs = [
          normal([rows, channels], dtype),
          normal([vocabulary, channels], "float32").mul(0.3).to(dtype).to("float32"),
          normal([vocabulary], "float32"),
        ];
        const run = (...of: Tensor[]) => [
          linearCrossEntropy(of[0]!, of[1]!, of[2] ?? null, target.to(of[0]!.device)),
        ];
        // Logits are rounded to the type, which shows in each gradient.
        const tolerance = { float32: 1e-5, bfloat16: 2e-2, float16: 4e-3 }[dtype as "float32"];
        for (const some of [inputs, inputs.slice(0, 2)]) {
          const got = derive(
            some.map((input) => input.to(device)),
            run,
          );
          const expected = derive(
            some.map((input) => input.to("float64")),
            run,
          );
          if (vocabulary === 1) {
            for (const tensor of got) expect(tensor.abs().max().number()).toBeLessThan(1e-6);
            continue;
          }
          for (const [i, tensor] of got.entries()) {
            expect(tensor.dtype).toBe(i < 1 ? "float32" : some[i - 1]!.dtype);
            expect(distance(tensor, expected[i]!)).toBeLessThan(tolerance);
          }
        }
      },
    );
  },
);

test("targets that are all ignored give a loss of NaN and no gradient", (context) => {
  needsCudaKernels(context);
  const x = leaf(torch.ones([3, 4]).to(device));
  const weight = leaf(torch.ones([5, 4]).to(device));
  const loss = linearCrossEntropy(x, weight, null, torch.zeros([3]).long().to(device), 0);
  loss.backward();
  expect(loss.number()).toBeNaN();
  expect(x.grad!.abs().max().number()).toBe(0);
  expect(weight.grad!.abs().max().number()).toBe(0);
});

/** A program that prints the numbers of the plain generator, which the kernels for CUDA have, below each rate. */
const PROGRAM = `
#include <cstdio>
#include <initializer_list>
#include "kernels/philox.h"
int main() {
  using namespace wavegpt::kernels;
  for (const double p : {0.1, 0.5}) {
    const DropRate rate(p);
    for (int64_t i = 0; i < 1000; i++) {
      const PhiloxNumbers numbers(0x9E3779B97F4AULL, i / 128 * 16 + i % 16);
      std::putchar(numbers[i % 128 / 16] < rate.threshold ? '0' : '1');
    }
  }
}`;

test("the generator of the kernels for CUDA drops what the CPU's drops", (context) => {
  if (process.platform === "win32") context.skip("win32: the compiler is not on the PATH");
  const folder = mkdtempSync(path.join(tmpdir(), "wavegpt-philox-"));
  try {
    const [source, program] = [path.join(folder, "philox.cc"), path.join(folder, "philox")];
    writeFileSync(source, PROGRAM);
    const include = path.join(packageRoot(), "binding");
    execFileSync("c++", ["-std=c++20", `-I${include}`, source, "-o", program]);
    const printed = execFileSync(program, { encoding: "utf8" });
    const expected = [0.1, 0.5].flatMap((p) =>
      (dropoutMask([1000], p, 0x9e3779b97f4a).tolist() as number[]).map((m) => (m > 0 ? "1" : "0")),
    );
    expect(printed).toBe(expected.join(""));
  } finally {
    rmSync(folder, { recursive: true });
  }
});

describe("without the library", () => {
  test("the binding says why there are no kernels for CUDA", (context) => {
    if (binding.cudaKernels() === null) context.skip("they are in use");
    expect(binding.cudaKernels()).toMatch(/wavegpt_cuda/);
  });

  // libtorch has no layer norm of meta tensors outside Python.
  test("other devices than the CPU take the composition", () => {
    const meta = (...shape: number[]) => leaf(torch.zeros(shape).to("meta"));
    const [residual, x, weight, bias] = [meta(2, 3, 8), meta(2, 3, 8), meta(11, 8), meta(11)];
    const sum = addDropout(residual!, dropout(x!, P, true), P, true);
    expect([sum.device, ...sum.shape]).toEqual(["meta", 2, 3, 8]);
    const target = torch.zeros([2, 3]).long().to("meta");
    const loss = linearCrossEntropy(sum, weight!, bias!, target);
    expect([loss.device, ...loss.shape]).toEqual(["meta"]);
    const inputs = [residual!, x!, weight!, bias!];
    const gradients = torch.autograd.grad([loss], inputs);
    expect(gradients.map((g) => g!.shape)).toEqual(inputs.map((input) => input.shape));
  });
});
