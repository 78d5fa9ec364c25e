import type { Frame } from "./perf.js";

/** Whose code a place is. */
export const OWNERS = [
  "JavaScript and Node",
  "binding",
  "kernels",
  "libtorch",
  "C library",
  "Python",
] as const;
export type Owner = (typeof OWNERS)[number];

/** What neither libtorch nor our kernels do: JavaScript, Node-API and the dispatch of a call. */
export const OUTSIDE: readonly Owner[] = ["JavaScript and Node", "binding"];

const BINDING = /^wavegpt(_torch)?\.(so|node|dylib)$/;
/** Kernels, and what the compiler made of libtorch's vector code and parallel loops for them. */
const KERNEL = /wavegpt::kernels|7wavegpt7kernels|^(void )?at::(vec|native|internal|parallel_for)/;
const LIBTORCH = /^lib(torch|torch_cpu|torch_global_deps|c10|gomp|iomp5|shm|mkl_\w+|sleef)\b/;
const PYTHON = /^libtorch_python\b|^libpython|^python|\.cpython-/;
/** V8 gives its functions names (--perf-basic-prof), oneDNN none. */
const MADE_AT_RUN_TIME = /^\[JIT\]|^\/\/anon|^anon$|^perf-\d+\.map/;

export function ownerOf({ library, symbol }: Frame): Owner {
  if (BINDING.test(library)) return symbol !== null && KERNEL.test(symbol) ? "kernels" : "binding";
  if (PYTHON.test(library)) return "Python";
  if (LIBTORCH.test(library)) return "libtorch";
  if (MADE_AT_RUN_TIME.test(library)) return symbol === null ? "libtorch" : "JavaScript and Node";
  if (/^(lib)?node\b/.test(library)) return "JavaScript and Node";
  return "C library";
}

/** Whether the binding's functions have no names, so that its kernels cannot be told from the rest. */
export function isNameless({ library, symbol }: Frame): boolean {
  return library.startsWith("wavegpt_torch.") && symbol === null;
}

/** What libtorch's functions do; the first that fits. Symbols may come mangled, where perf finds them too long. */
const WORK: readonly (readonly [RegExp, string])[] = [
  [/bernoulli|random64|mt19937/, "random numbers for dropout"],
  [/flash_attention/, "fused attention"],
  [/^mkl_|gemm|gemv/, "matrix products (MKL)"],
  [/LayerNorm|RowwiseMoments/, "layer norm"],
  [/softmax_backward/, "softmax and log-softmax, backward"],
  [/softmax|Sleef_\w*exp|isneginf/, "softmax and log-softmax"],
  [/nll_loss/, "loss of the targets"],
  [/adam/i, "AdamW"],
  [/gelu/i, "GELU"],
  [
    /copy_kernel|copy_impl|CopyKernel|cat_serial|transpose_copy/,
    "copies, conversions between types",
  ],
  [/fill_kernel/, "filling with a value"],
  [/embedding|index_select|index_put|index_add/i, "embedding"],
  [/reduce|outer_sum|inner_sum|sum_kernel|cascade_sum/, "sums"],
  [
    /(add|sub|mul|div|div_true|where|masked_fill|threshold|clamp)\w*_kernel/,
    "add, multiply, divide",
  ],
  [/^__(munmap|brk|mmap|madvise|sbrk)|^(munmap|mmap|brk|madvise)/, "memory from and to the system"],
];

const MALLOC = /malloc|free|calloc|consolidate|unlink_chunk|tcache|memalign|sysmalloc|systrim/;

/** Our kernels by what their functions, classes, types and arguments are called; the first that fits. */
const KERNELS: readonly (readonly [RegExp, string])[] = [
  [/attention|(For|Back)wardPass/i, "attention"],
  [/cross_?entropy|Computation</i, "linear_cross_entropy"],
  [/wave_?layer/i, "wave_layer"],
  [/Backward<[^,<>]+, [^,<>]+>::/, "wave_layer"],
  [/mlp|Backward<[^,<>]+>::/i, "mlp"],
  [/embedding/i, "token_position_embedding"],
  [/adam|update_all|sum_of_squares|gradient_norm/i, "adamw_"],
  [/mix/i, "mix"],
  [/add_?dropout|layer_?norm|normalize_row|(For|Back)ward<.*, \d+l>/i, "add_dropout_layer_norm"],
  [/dropout|philox/i, "dropout"],
  [/linear|gelu|dense/i, "linear"],
];

function kernelOf(symbol: string): string {
  return KERNELS.find(([pattern]) => pattern.test(symbol))?.[1] ?? "shared by several";
}

/** What a row of the profile says for a place. */
export function workOf(frame: Frame): string {
  const { library, symbol } = frame;
  switch (ownerOf(frame)) {
    case "kernels":
      return `wavegpt::${kernelOf(symbol!)}`;
    case "binding":
      return "the binding";
    case "JavaScript and Node":
      return "JavaScript and Node";
    case "Python":
      return "Python";
    case "C library":
      if (symbol !== null && MALLOC.test(symbol)) return "malloc and free";
      if (symbol !== null && /mem(cpy|move|set)/.test(symbol)) return "memcpy, memset";
      break;
    case "libtorch":
      if (library.startsWith("libgomp") || library.startsWith("libiomp")) {
        return "threads waiting for each other";
      }
      if (MADE_AT_RUN_TIME.test(library)) return "matrix products (oneDNN, made at run time)";
  }
  const named = WORK.find(([pattern]) => symbol !== null && pattern.test(symbol));
  if (named !== undefined) return named[1];
  return /^lib(torch_cpu|c10)\b/.test(library)
    ? "libtorch's dispatch, autograd and the rest"
    : "the rest";
}
