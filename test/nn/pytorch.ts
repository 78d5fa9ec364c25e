import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect } from "vitest";
import { safetensors, type Tensor, torch } from "../../lib/index.js";
import { python } from "../python.js";

const PRELUDE = `
import copy, json, math, sys, torch
from torch import nn
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
torch.set_num_threads(1)
out = {}
def keep(name, tensor):
    out[name] = tensor.detach().clone().contiguous()
`;

const EPILOGUE = `
save_file(out, sys.argv[1])
`;

/** Runs PyTorch code that calls `keep(name, tensor)`, and returns what it kept. Both sides use one thread. */
export function pytorch(code: string, ...args: string[]): Record<string, Tensor> {
  torch.setNumThreads(1);
  return inTemporaryFolder((folder) => {
    const file = path.join(folder, "out.safetensors");
    python(PRELUDE + code + EPILOGUE, file, ...args);
    return safetensors.load(file);
  });
}

export function inTemporaryFolder<T>(use: (folder: string) => T): T {
  const folder = mkdtempSync(path.join(tmpdir(), "wavegpt-test-"));
  try {
    return use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Expects every name's tensor to equal PyTorch's bit for bit (0 and -0 alike, as torch.equal). */
export function expectEqual(
  actual: Readonly<Record<string, Tensor | null>>,
  expected: Readonly<Record<string, Tensor>>,
): void {
  expectClose(actual, expected, 0);
}

/** Expects every name's tensor to differ from PyTorch's by at most `tolerance` times its largest value. */
export function expectClose(
  actual: Readonly<Record<string, Tensor | null>>,
  expected: Readonly<Record<string, Tensor>>,
  tolerance: number,
): void {
  for (const [name, tensor] of Object.entries(actual)) {
    const other = expected[name];
    if (tensor === null || other === undefined) {
      throw new Error(`${name} is missing on ${tensor === null ? "our" : "PyTorch's"} side.`);
    }
    expect([name, tensor.dtype, tensor.shape]).toEqual([name, other.dtype, other.shape]);
    if (!torch.equal(tensor, other)) {
      const difference = tensor.double().sub(other.double()).abs().max().number();
      // Written so that NaN fails.
      if (!(difference <= tolerance * other.double().abs().max().number())) {
        throw new Error(`${name} differs from PyTorch's by up to ${difference}.`);
      }
    }
  }
}

/** The entries whose names start with `prefix`, without it. */
export function under(
  prefix: string,
  tensors: Readonly<Record<string, Tensor>>,
): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(tensors)
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, tensor]) => [name.slice(prefix.length), tensor]),
  );
}
