// What the fuzz test passes: a pool of tensors of every kind, and values of every argument type.

/** mulberry32. */
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

const pick = (items, rng) => items[Math.floor(rng() * items.length)];

const SHAPES = [
  [],
  [0],
  [1],
  [3],
  [7],
  [2, 3],
  [4, 4],
  [0, 3],
  [2, 3, 4],
  [1, 3, 8, 8],
  [2, 2, 3, 4, 5],
];
// float32 more often than the others: it reaches most kernels.
const DTYPES = [6, 6, 6, 6, 6, 7, 15, 5, 4, 4, 4, 3, 2, 1, 0, 11, 9, 10, 27, 24];

function operator(binding, name, overload = "") {
  const found = binding.findOperator(`aten::${name}`, overload);
  return (...args) => binding.call(found.id, ...args);
}

/** Tensors for one operator's calls; `names` says what each handle is. */
export function buildPool(binding, rng) {
  const randint = operator(binding, "randint", "low");
  const randn = operator(binding, "randn");
  const to = operator(binding, "to", "dtype");
  const transpose = operator(binding, "transpose", "int");
  const tensors = [];
  const names = new Map();
  const add = (handle, name) => {
    if (typeof handle !== "number") return;
    tensors.push(handle);
    names.set(handle, name);
  };
  const special = (name, make) => {
    try {
      add(make(), name);
    } catch {
      // not every kind exists in every build of libtorch
    }
  };
  const float = () => randn(pick(SHAPES, rng));
  for (let at = 0; at < 24; at++) {
    const shape = pick(SHAPES, rng);
    const dtype = pick(DTYPES, rng);
    const values = dtype >= 5 && dtype <= 10 ? randn(shape) : randint(-3, 9, shape);
    add(to(values, dtype), `dtype${dtype}[${shape}]`);
  }
  for (const shape of [
    [2, 3],
    [4, 4],
    [1, 3, 8, 8],
  ])
    add(randn(shape), `float[${shape}]`);
  for (const shape of [[3], [2, 3], [4]]) add(randint(0, 3, shape), `index[${shape}]`);
  add(randint(-1000000, 1000000, [2, 3]), "wild index[2,3]");
  special("transposed[4,3]", () => transpose(randn([3, 4]), 0, 1));
  special("expanded[5,3]", () => operator(binding, "expand")(randn([1, 3]), [5, 3]));
  special("requires_grad[2,3]", () => {
    const leaf = randn([2, 3]);
    binding.setRequiresGrad(leaf, true);
    return leaf;
  });
  special("not a number", () => operator(binding, "full")([2, 3], Number.NaN));
  special("meta", () => operator(binding, "empty", "memory_format")([2, 3], 6, 0, "meta"));
  special("sparse coo", () => operator(binding, "to_sparse")(randn([3, 4])));
  special("sparse csr", () => operator(binding, "to_sparse_csr")(randn([4, 4])));
  special("conjugate", () => operator(binding, "conj")(to(randn([2, 3]), 9)));
  special("zero tensor", () => operator(binding, "_efficientzerotensor")([2, 3]));
  special("quantized", () => operator(binding, "quantize_per_tensor")(float(), 0.1, 1, 13));
  special("nested", () =>
    operator(binding, "_nested_tensor_from_tensor_list")([randn([2, 3]), randn([4, 3])]),
  );
  const shape = pick(SHAPES, rng);
  const common = Array.from({ length: 3 }, () => randn(shape));
  if (shape.length === 2) common.push(randn([shape[1], shape[1]]), randn([shape[1]]));
  if (shape.length > 2)
    common.push(randn([2, shape[1], 3, 3].slice(0, shape.length)), randn([shape[1]]));
  for (const handle of common) add(handle, `common[${binding.shape(handle)}]`);
  const indices = [
    to(randint(0, Math.max(1, shape[0] ?? 1), shape), 4),
    to(randint(-2, 12, [3]), 4),
  ];
  for (const handle of indices) add(handle, `indices[${binding.shape(handle)}]`);
  return {
    tensors,
    names,
    /** Mostly of one shape and dtype; integers where the argument's name asks for them. */
    coherent: (name, rng) =>
      pick(
        /ind|offset|target|lengths|size|split|bins|repeats/.test(name) && rng() < 0.8
          ? indices
          : common,
        rng,
      ),
  };
}

const SMALL = [0, 1, 2, 3, 1, 0, 2, 1, 4, 5, 8, -1, -1, -2];
const LARGE = [
  64,
  -100,
  70000,
  2 ** 40,
  -(2 ** 31),
  2 ** 53 - 1,
  9223372036854775807n,
  -9223372036854775808n,
];
const integer = (_, rng, coherent = false) =>
  pick(rng() < (coherent ? 0.03 : 0.2) ? LARGE : SMALL, rng);
const float = (_, rng) =>
  pick([0, 1, 0.5, -0.5, 2, 1e-5, 1e30, -1, Number.NaN, Number.POSITIVE_INFINITY], rng);
const STRINGS = [
  "",
  "none",
  "mean",
  "sum",
  "constant",
  "ij,jk->ik",
  "floor",
  "bilinear",
  "constant",
  "\u0000",
  "ü".repeat(300),
  "left",
  "linear",
  "tanh",
];

/** By the schema's base type. */
export const ARGUMENTS = {
  Tensor: (pool, rng) => (rng() < 0.02 ? junk(pool, rng) : pick(pool.tensors, rng)),
  int: integer,
  float,
  bool: (_, rng) => rng() < 0.5,
  Scalar: (_, rng) => pick([0, 1, 2, -1, 0.5, true, 3n, { re: 1, im: 2 }, Number.NaN, 1e30], rng),
  str: (_, rng) => pick(STRINGS, rng),
  ScalarType: (_, rng) => pick([...DTYPES, 12, 13, 25, 44, -1, 999], rng),
  Layout: (_, rng) => pick([0, 1, 2, 0, 99], rng),
  MemoryFormat: (_, rng) => pick([0, 1, 2, 3, 77], rng),
  Device: (_, rng) => pick(["cpu", "cpu", "meta", "cuda", "cuda:7", "mps", "nonsense"], rng),
  Generator: () => null,
  complex: () => ({ re: 1, im: -1 }),
};

const JUNK = [
  undefined,
  null,
  0,
  -1,
  1.5,
  Number.NaN,
  1e308,
  4294967296,
  4294967297,
  2 ** 53,
  true,
  "text",
  "",
  1n,
  -(1n << 70n),
  [],
  [[]],
  [null],
  ["a"],
  {},
  { re: "x" },
  new Float32Array(3),
  new Date(0),
  Symbol.iterator,
  () => 1,
];

/** A value of any type at all; sometimes a tensor where none belongs. */
export function junk(pool, rng) {
  return pool !== null && rng() < 0.1 ? pick(pool.tensors, rng) : pick(JUNK, rng);
}
