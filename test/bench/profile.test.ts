import { describe, expect, it } from "vitest";
import { readSamples } from "../../bench/profile/perf.js";
import { ownerOf, workOf } from "../../bench/profile/places.js";
import { summarize } from "../../bench/profile/sampled.js";

async function* lines(text: string): AsyncIterable<string> {
  yield* text.split("\n");
}

// As `perf script -F tid,time,period,ip,sym,dso` prints it.
const SCRIPT = `
 7  100.000000:     500000 
	ffffffff81000000 clear_page ([kernel.kallsyms])
	          1de62 wavegpt::kernels::(anonymous namespace)::AVX512::sum_rows(float const*, long) (/a b/wavegpt_torch.so)
	           ffff [unknown] ([unknown])

 8  100.250000:     500000 
	          1de62 [unknown] (/venv/lib/libgomp.so.1)

 7  100.500000:     250000 
	          1de62 wavegpt::call(Napi::CallbackInfo const&) (/a b/wavegpt_torch.so)

 7  101.000000:     750000 
	    7f0b5205e043 [unknown] (/tmp/perf-7.map)
`;

describe("what perf saw", () => {
  it("is read with the kernel's time where it was called from", async () => {
    const { samples, seconds } = await readSamples(lines(SCRIPT));
    expect(seconds).toBe(1);
    expect(samples.map(({ thread, nanoseconds, kernel }) => [thread, nanoseconds, kernel])).toEqual(
      [
        [7, 500_000, true],
        [8, 500_000, false],
        [7, 250_000, false],
        [7, 750_000, false],
      ],
    );
    expect(samples[0]!.frame.library).toBe("wavegpt_torch.so");
    expect(samples[0]!.frame.symbol).toContain("sum_rows");
    expect(samples[1]!.frame).toEqual({ library: "libgomp.so.1", symbol: null });
    await expect(readSamples(lines(""))).rejects.toThrow("nothing");
  });

  it("is summed up by owner and by work, per step", async () => {
    // Four steps in the second: a quarter of each sum a step.
    const sampled = summarize(await readSamples(lines(SCRIPT)), 0.25, 7);
    expect(sampled.step).toBe(250);
    expect(sampled.mainThread).toEqual({ kernels: 0.125, binding: 0.0625, libtorch: 0.1875 });
    expect(sampled.outside).toBeCloseTo(1 / 6, 12);
    expect(sampled.works[0]).toEqual({
      work: "matrix products (oneDNN, made at run time)",
      milliseconds: 0.1875,
      kernel: 0,
    });
    const own = sampled.works.find(({ work }) => work === "wavegpt::shared by several");
    expect(own).toMatchObject({ milliseconds: 0.125, kernel: 0.125 });
    expect(sampled.nameless).toBe(false);
  });
});

describe("a place", () => {
  const owner = (library: string, symbol: string | null) => ownerOf({ library, symbol });

  it("is JavaScript's where V8 gave it a name, and oneDNN's where nobody did", () => {
    expect(owner("perf-12.map", "JS:*forward file:///model.js")).toBe("JavaScript and Node");
    expect(owner("perf-12.map", null)).toBe("libtorch");
    expect(owner("node", "Builtins_LoadIC")).toBe("JavaScript and Node");
  });

  it("is a kernel's in our namespace, in any form that the compiler gives it, and the binding's else", () => {
    expect(owner("wavegpt_torch.so", "wavegpt::kernels::attention(at::Tensor const&)")).toBe(
      "kernels",
    );
    expect(owner("wavegpt_torch.so", "at::vec::AVX512::Vectorized<float>::exp() const")).toBe(
      "kernels",
    );
    expect(
      owner("wavegpt_torch.so", "_ZN7wavegpt7kernels12_GLOBAL__N_16AVX5128sum_rowsEPKfl"),
    ).toBe("kernels");
    expect(owner("wavegpt_torch.so", "wavegpt::Slots::at(double)")).toBe("binding");
    expect(owner("wavegpt_torch.so", null)).toBe("binding");
  });

  it("keeps Python's part of PyTorch apart from libtorch", () => {
    expect(owner("libtorch_python.so", null)).toBe("Python");
    expect(owner("libpython3.11.so.1.0", "_PyEval_EvalFrameDefault")).toBe("Python");
    expect(owner("libtorch_cpu.so", "at::_ops::add")).toBe("libtorch");
    expect(owner("libc10.so", null)).toBe("libtorch");
  });

  it("is named by its work", () => {
    const work = (library: string, symbol: string | null) => workOf({ library, symbol });
    expect(work("libtorch_cpu.so", "at::CPUGeneratorImpl::random64")).toBe(
      "random numbers for dropout",
    );
    expect(work("libtorch_cpu.so", "mkl_blas_def_sgemm_kernel_0_zen")).toBe(
      "matrix products (MKL)",
    );
    const backward = "wavegpt::kernels::(anonymous namespace)::AVX512::backward";
    expect(
      work("wavegpt_torch.so", `${backward}(wavegpt::kernels::AttentionBackward const&)`),
    ).toBe("wavegpt::attention");
    expect(work("libgomp.so.1", null)).toBe("threads waiting for each other");
    expect(work("libc.so.6", "_int_malloc")).toBe("malloc and free");
    expect(work("libtorch_cpu.so", "torch::autograd::Engine::evaluate_function")).toBe(
      "libtorch's dispatch, autograd and the rest",
    );
  });
});
