import { execFileSync } from "node:child_process";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it, test } from "vitest";
import { type DType, nn, optim, type Tensor, torch, type WaveGPTError } from "../../lib/index.js";
import { packageRoot } from "../../lib/package-root.js";
import {
  type AdamLists,
  type AdamValues,
  copied,
  distance,
  farthest,
  libtorchStep,
  randomLists,
  step,
} from "./adam-lists.js";

/** Nothing, one element, primes, whole blocks of the kernel, and more than a thread's share. */
const SHAPES = [[0], [], [1], [7], [3, 5], [0, 4], [127], [4096], [2, 4099], [3, 40_009]];

const threads = torch.getNumThreads();
let scope: ReturnType<typeof torch.scope>;

beforeEach(() => {
  scope = torch.scope();
  torch.manualSeed(7);
});

afterEach(() => {
  scope.dispose();
  torch.setNumThreads(threads);
});

function drawGradients({ gradients }: AdamLists, factor = 1): void {
  for (const gradient of gradients) gradient.normal_(0, factor);
}

const SETTINGS: readonly [string, Partial<AdamValues>][] = [
  ["by default", {}],
  ["with amsgrad", { amsgrad: true, weightDecay: 0.1, beta1: 0.8, beta2: 0.95, eps: 1e-6 }],
  ["maximising, without decay", { maximize: true, weightDecay: 0 }],
  ["with beta1 below a half", { beta1: 0.3, lr: 0.01 }],
  ["with betas of 0", { beta1: 0, beta2: 0 }],
];

describe.each(["adam", "adamw"] as const)("%s_ equals libtorch's fused operator", (kind) => {
  const cases = (["float32", "float64"] as const).flatMap((dtype) =>
    SETTINGS.map(([name, values]) => ({ dtype, name, values })),
  );
  it.each(cases)("in $dtype $name, over 50 steps", ({ dtype, values }) => {
    const ours = randomLists(SHAPES, { dtypes: [dtype], amsgrad: values.amsgrad ?? false });
    const theirs = copied(ours);
    for (let at = 0; at < 50; at++) {
      torch.tidy(() => {
        drawGradients(ours);
        for (const [index, gradient] of theirs.gradients.entries()) {
          gradient.copy_(ours.gradients[index]!);
        }
        step(kind, ours, values);
        libtorchStep(kind, theirs, values);
      });
    }
    expect(ours.steps[0]!.item()).toBe(50);
    expect(farthest(ours, theirs)).toBeLessThanOrEqual(4);
  });

  it("in the dtypes that are left to libtorch, mixed with those that are not", () => {
    const dtypes: DType[] = ["bfloat16", "float32", "float16", "float64"];
    const ours = randomLists([[5], [9], [33], [2, 3], [64], [3]], { dtypes });
    const theirs = copied(ours);
    for (let at = 0; at < 3; at++) {
      step(kind, ours);
      libtorchStep(kind, theirs);
    }
    expect(farthest(ours, theirs)).toBeLessThanOrEqual(1);
  });

  it("takes state at another step for each parameter", () => {
    const ours = randomLists([[20], [30], [40]]);
    ours.steps[1]!.fill_(1000);
    const theirs = copied(ours);
    step(kind, ours);
    libtorchStep(kind, theirs);
    expect(ours.steps.map((counter) => counter.item())).toEqual([1, 1001, 1]);
    expect(farthest(ours, theirs)).toBeLessThanOrEqual(1);
  });

  it("takes parameters, state and gradients of other layouts", () => {
    const plain = randomLists(
      [
        [6, 7],
        [6, 7],
        [6, 7],
        [6, 7],
        [6, 7],
      ],
      { amsgrad: true },
    );
    plain.gradients[3]!.copy_(torch.randn([1, 7]));
    const transposed = (tensor: Tensor) => tensor.t().contiguous().t();
    const spread = (tensor: Tensor) => torch.stack([tensor, tensor], { dim: 1 }).at(":", 0);
    const odd = copied(plain);
    odd.parameters[0] = transposed(odd.parameters[0]!); // its state is not
    odd.gradients[1] = transposed(odd.gradients[1]!);
    odd.parameters[2] = spread(odd.parameters[2]!); // with gaps
    odd.gradients[3] = odd.gradients[3]!.at(0).expand([6, 7]);
    odd.expAvgs[4] = spread(odd.expAvgs[4]!);
    for (let at = 0; at < 3; at++) {
      const norms = [plain, odd].map((lists) =>
        step(kind, lists, { amsgrad: true, maxNorm: 0.1 })!.number(),
      );
      expect(norms[0]! / norms[1]!).toBeCloseTo(1, 6);
    }
    expect(farthest(odd, plain)).toBeLessThanOrEqual(1);
    expect(odd.parameters[2]!.isContiguous()).toBe(false);
  });
});

describe("the norm", () => {
  const normOf = torch.ops.find("wavegpt::gradient_norm.default");
  const exact = (gradients: readonly Tensor[]) =>
    Math.sqrt(
      gradients.reduce((sum, gradient) => sum + gradient.double().square().sum().number(), 0),
    );

  it.each([1, 1e-30, 1e30])("of gradients around %d is right to float32's rounding", (size) => {
    const lists = randomLists(SHAPES);
    drawGradients(lists, size);
    const expected = exact(lists.gradients);
    const norms = [
      normOf(lists.gradients) as Tensor,
      step("adamw", lists, { maxNorm: 0 })!,
      step("adamw", lists, { maxNorm: 1 })!,
    ];
    expect(step("adamw", lists)).toBe(null);
    for (const norm of norms) {
      expect([norm.dtype, norm.shape, norm.requiresGrad]).toEqual(["float32", [], false]);
      expect(Math.abs(norm.number() / expected - 1)).toBeLessThanOrEqual(2 ** -24);
    }
  });

  it("of float64, of several dtypes, and of odd layouts", () => {
    const doubles = randomLists([[1001]], { dtypes: ["float64"] }).gradients;
    expect((normOf(doubles) as Tensor).number() / exact(doubles)).toBeCloseTo(1, 14);
    const dtypes: DType[] = ["float32", "float64", "bfloat16"];
    const mixed = [...randomLists([[10], [20], [30]], { dtypes }).gradients];
    mixed.push(torch.randn([1, 5]).expand([3, 5]), torch.randn([8, 4]).at(":", "::2"));
    const norm = normOf(mixed) as Tensor;
    expect(norm.dtype).toBe("float64");
    // bfloat16's own norm is bfloat16.
    expect(norm.number() / exact(mixed)).toBeCloseTo(1, 2);
    expect((normOf([mixed[0]!, mixed[3]!, mixed[4]!]) as Tensor).number()).toBeCloseTo(
      exact([mixed[0]!, mixed[3]!, mixed[4]!]),
      5,
    );
  });

  it("of nothing is 0", () => {
    const empty = randomLists([]);
    expect((normOf([]) as Tensor).item()).toBe(0);
    expect(step("adamw", empty)).toBe(null);
    expect(step("adamw", empty, { maxNorm: 1 })!.item()).toBe(0);
    expect(step("adamw", randomLists([[0], [0, 3]]), { maxNorm: 1 })!.item()).toBe(0);
  });
});

describe("clipping", () => {
  it.each([0.01, 1, 1e6])("to %d equals clip_grad_norm_ and a step", (maxNorm) => {
    const ours = randomLists(SHAPES);
    const theirs = copied(ours);
    for (let at = 0; at < 10; at++) {
      const before = ours.gradients.map((gradient) => gradient.clone());
      const norm = step("adamw", ours, { maxNorm })!;
      const reference = libtorchStep("adamw", theirs, {}, maxNorm);
      expect(norm.number() / reference.number()).toBeCloseTo(1, 5);
      // The gradients stay as backward made them.
      expect(ours.gradients.map((gradient, i) => torch.equal(gradient, before[i]!))).not.toContain(
        false,
      );
    }
    // libtorch's own norm of 120,000 elements is less exact.
    expect(farthest(ours, theirs)).toBeLessThanOrEqual(32);
  });

  it.each<[string, number[]]>([
    ["NaN", [Number.NaN, 1]],
    ["infinity", [Number.POSITIVE_INFINITY, -2]],
    ["minus infinity", [Number.NEGATIVE_INFINITY, 3]],
  ])("of gradients with %s gives what PyTorch gives", (_name, values) => {
    const ours = randomLists([[2], [3], [40]]);
    ours.gradients[0]!.copy_(torch.tensor(values));
    const theirs = copied(ours);
    const norm = step("adamw", ours, { maxNorm: 1 })!;
    const reference = libtorchStep("adamw", theirs, {}, 1);
    expect(norm.item()).toBe(reference.item());
    expect(farthest(ours, theirs)).toBeLessThanOrEqual(1);
    const finite = ours.parameters.map((parameter) => parameter.isfinite().all().item());
    expect(finite[0]).toBe(false);
  });

  it("takes a norm from outside, of several groups together", () => {
    const together = randomLists([[50], [60]]);
    const apart = copied(together);
    const totalNorm = torch.ops.find("wavegpt::gradient_norm.default")(apart.gradients) as Tensor;
    step("adamw", together, { maxNorm: 0.5 });
    for (const at of [0, 1]) {
      const group = Object.fromEntries(
        Object.entries(apart).map(([name, list]) => [name, list.length > 0 ? [list[at]] : []]),
      ) as unknown as AdamLists;
      const norm = step("adamw", group, { maxNorm: 0.5, totalNorm })!;
      expect(norm.item()).toBe(totalNorm.item());
    }
    expect(farthest(apart, together)).toBe(0);
  });
});

test("results are the same bits for any number of threads", () => {
  const first = randomLists(SHAPES, { amsgrad: true });
  const runs = [1, 2, 3, 5].map((count) => {
    torch.setNumThreads(count);
    const lists = copied(first);
    const norms = [0.5, 0, 0.5].map((maxNorm) =>
      step("adamw", lists, { amsgrad: true, maxNorm })!.number(),
    );
    return { lists, norms };
  });
  for (const { lists, norms } of runs) {
    expect(norms).toEqual(runs[0]!.norms);
    expect(farthest(lists, runs[0]!.lists)).toBe(0);
  }
});

test.each(["default", "avx2", "avx512"])("%s: the build for that CPU gives the same", (name) => {
  const script = path.join(packageRoot(), "test/kernels/adam-capability.mjs");
  const output = execFileSync(process.execPath, [script], {
    env: { ...process.env, ATEN_CPU_CAPABILITY: name },
    encoding: "utf8",
  });
  const { norm, largest } = JSON.parse(output) as { norm: number; largest: number };
  expect(norm).toBeLessThanOrEqual(2 ** -24);
  expect(largest).toBeLessThanOrEqual(4);
});

describe("autograd", () => {
  it("changes parameters that require a gradient, outside the graph, and counts the change", () => {
    const lists = randomLists([[4], [5000]]);
    for (const parameter of lists.parameters) parameter.requiresGrad_(true);
    const saved = lists.parameters[0]!.square().sum();
    const tensors = [...lists.parameters, ...lists.expAvgs, ...lists.expAvgSqs, ...lists.steps];
    const before = tensors.map(({ version }) => version);
    const gradients = lists.gradients.map(({ version }) => version);
    step("adamw", lists, { maxNorm: 1 });
    expect(tensors.map(({ version }, at) => version - before[at]!)).toEqual(tensors.map(() => 1));
    expect(lists.gradients.map(({ version }) => version)).toEqual(gradients);
    expect(lists.parameters.map((parameter) => [parameter.isLeaf, parameter.requiresGrad])).toEqual(
      [
        [true, true],
        [true, true],
      ],
    );
    expect(() => saved.backward()).toThrow("modified by an inplace operation");
  });

  it("takes parameters that are parts of one tensor", () => {
    const whole = torch.randn([30]);
    const plain = randomLists([[10], [20]]);
    whole.narrow(0, 0, 10).copy_(plain.parameters[0]!);
    whole.narrow(0, 10, 20).copy_(plain.parameters[1]!);
    const parts = copied(plain);
    parts.parameters.splice(0, 2, whole.narrow(0, 0, 10), whole.narrow(0, 10, 20));
    step("adamw", plain);
    step("adamw", parts);
    expect(torch.equal(whole, torch.cat(plain.parameters))).toBe(true);
  });
});

describe("wrong arguments are refused, and nothing is changed", () => {
  const cases: readonly [string, (lists: AdamLists) => void, string][] = [
    ["too few gradients", (l) => l.gradients.pop(), "gradients must be 2 tensors, one for each"],
    ["too many steps", (l) => l.steps.push(torch.zeros([])), "steps must be 2 tensors"],
    ["no exp_avgs", (l) => l.expAvgs.splice(0), "exp_avgs must be 2 tensors"],
    [
      "max_exp_avg_sqs without amsgrad",
      (l) => l.maxExpAvgSqs.push(torch.zeros([3])),
      "max_exp_avg_sqs must be 0 tensors without amsgrad, got 1",
    ],
    [
      "a gradient's shape",
      (l) => l.gradients.splice(1, 1, torch.zeros([5])),
      "gradients[1] must be like its parameter, Float [4] on cpu, got Float [5] on cpu",
    ],
    [
      "a gradient's dtype",
      (l) => l.gradients.splice(1, 1, torch.zeros([4], { dtype: "float64" })),
      "got Double [4] on cpu",
    ],
    [
      "a gradient's device",
      (l) => l.gradients.splice(1, 1, torch.zeros([4], { device: "meta" })),
      "got Float [4] on meta",
    ],
    [
      "a sparse gradient",
      (l) => l.gradients.splice(1, 1, torch.ones([4]).toSparse()),
      "on cpu of layout Sparse",
    ],
    [
      "state's shape",
      (l) => l.expAvgSqs.splice(0, 1, torch.zeros([2])),
      "exp_avg_sqs[0] must be like its parameter",
    ],
    [
      "an integer parameter",
      (l) => l.parameters.splice(0, 1, torch.zeros([3], { dtype: "int64" })),
      "parameters[0] must be a strided floating-point tensor, got Long [3] on cpu",
    ],
    [
      "a counter of integers",
      (l) => l.steps.splice(0, 1, torch.zeros([], { dtype: "int64" })),
      "steps[0] must be one float32 on cpu, got Long [] on cpu",
    ],
    ["a counter of two", (l) => l.steps.splice(0, 1, torch.zeros([2])), "steps[0] must be one"],
    [
      "a parameter twice",
      (l) => {
        l.parameters[1] = l.parameters[0]!;
        for (const list of [l.gradients, l.expAvgs, l.expAvgSqs]) list[1] = torch.zeros([3]);
      },
      "must not share memory",
    ],
    ["a counter for all", (l) => l.steps.splice(1, 1, l.steps[0]!), "must not share memory"],
    [
      "the gradient as state",
      (l) => l.expAvgs.splice(1, 1, l.gradients[1]!),
      "must not share memory",
    ],
    [
      "parts of one tensor that overlap",
      (l) => {
        const whole = torch.zeros([6]);
        l.parameters.splice(0, 2, whole.narrow(0, 0, 3), whole.narrow(0, 2, 4));
      },
      "must not share memory",
    ],
    [
      "an expanded parameter",
      (l) => l.parameters.splice(0, 1, torch.zeros([1]).expand([3])),
      "parameters[0] has elements that share memory",
    ],
    [
      "an inference tensor",
      (l) =>
        l.parameters.splice(
          0,
          1,
          torch.inferenceMode(() => torch.zeros([3])),
        ),
      "parameters[0] is an inference tensor",
    ],
    [
      "meta tensors",
      (l) => {
        for (const list of [l.parameters, l.gradients, l.expAvgs, l.expAvgSqs]) {
          list[0] = torch.zeros([3], { device: "meta" });
        }
        l.steps[0] = torch.zeros([], { device: "meta" });
      },
      "_fused_adamw_",
    ],
  ];
  it.each(cases)("%s", (_name, spoil, message) => {
    const lists = randomLists([[3], [4]]);
    spoil(lists);
    const before = copied(lists);
    let error: unknown;
    try {
      step("adamw", lists);
    } catch (caught) {
      error = caught;
    }
    expect((error as WaveGPTError | undefined)?.code).toMatch(/^ERR_WAVEGPT_/);
    expect((error as Error).message).toContain(message);
    for (const name of ["parameters", "expAvgs", "expAvgSqs", "steps"] as const) {
      for (const [at, tensor] of lists[name].entries()) {
        if (tensor.device === "meta") continue;
        expect(torch.equal(tensor, before[name][at]!)).toBe(true);
      }
    }
  });

  it.each<[string, object, string]>([
    ["a negative max_norm", { maxNorm: -1 }, "max_norm must be at least 0, got -1"],
    ["a max_norm that is no number", { maxNorm: Number.NaN }, "max_norm must be at least 0"],
    ["a norm of two", { totalNorm: torch.keep(torch.zeros([2])) }, "total_norm must be one"],
    ["a missing lr", { lr: undefined }, "lr"],
  ])("%s", (_name, values, message) => {
    expect(() => step("adamw", randomLists([[3]]), values)).toThrow(message);
  });
});

describe("optimizers step by clipped gradients", () => {
  type Options = { lr?: number; weightDecay?: number };
  const kinds = [
    ["AdamW", (params: Tensor[], options: Options) => new optim.AdamW(params, options)],
    ["Adam", (params: Tensor[], options: Options) => new optim.Adam(params, options)],
    ["SGD", (params: Tensor[], options: Options) => new optim.SGD(params, options)],
  ] as const;

  function pair(make: (typeof kinds)[number][1]) {
    const first = [[20], [3, 4], []].map((shape) => torch.randn(shape));
    const trained = (): Trained => {
      const params = first.map((tensor) => new nn.Parameter(tensor.clone()));
      return { params, optimizer: make(params, { lr: 0.01 }) };
    };
    return [trained(), trained()] as const;
  }
  interface Trained {
    params: Tensor[];
    optimizer: optim.Optimizer;
  }

  it.each(kinds)("%s as after nn.clipGradNorm_", (_name, make) => {
    const [fused, apart] = pair(make);
    // A second group, whose gradients count in the norm too.
    for (const { params, optimizer } of [fused, apart]) {
      const late = new nn.Parameter(torch.ones([5]));
      params.push(late);
      optimizer.addParamGroup({ params: [late], lr: 0.1 });
    }
    for (let at = 0; at < 5; at++) {
      const gradients = fused.params.map((parameter) => torch.randnLike(parameter));
      for (const { params } of [fused, apart]) {
        for (const [index, parameter] of params.entries()) {
          // One has no gradient at first.
          parameter.grad = at === 0 && index === 1 ? null : gradients[index]!.clone();
        }
      }
      const norm = fused.optimizer.step({ maxNorm: 0.5 });
      const reference = nn.clipGradNorm_(apart.params, 0.5);
      apart.optimizer.step();
      expect(norm.number()).toBeCloseTo(reference.number(), 5);
    }
    for (const [index, parameter] of fused.params.entries()) {
      expect(distance(parameter.detach(), apart.params[index]!.detach())).toBeLessThanOrEqual(16);
    }
    const [state, reference] = [fused, apart].map(
      ({ optimizer }) => optimizer.stateTensors().tensors,
    );
    for (const [key, tensor] of Object.entries(reference!)) {
      expect(distance(state![key]!, tensor)).toBeLessThanOrEqual(16);
    }
    for (const { optimizer } of [fused, apart]) optimizer.dispose();
  });

  it.each(kinds)(
    "%s reports a norm that is not finite when asked, and changes nothing",
    (_name, make) => {
      const [{ params, optimizer }] = pair(make);
      const before = params.map((parameter) => parameter.detach().clone());
      for (const parameter of params) parameter.grad = torch.fullLike(parameter, Number.NaN);
      expect(() => optimizer.step({ maxNorm: 1, errorIfNonfinite: true })).toThrow(
        "total norm (p = 2) is NaN",
      );
      expect(params.map((parameter, i) => torch.equal(parameter, before[i]!))).not.toContain(false);
      expect(optimizer.step({ maxNorm: 1 }).item()).toBe(Number.NaN);
      optimizer.dispose();
    },
  );

  it.each(kinds)("%s does not clip to 0, and refuses less", (_name, make) => {
    const [fused, apart] = pair(make);
    for (const { params } of [fused, apart]) {
      for (const parameter of params) parameter.grad = torch.onesLike(parameter);
    }
    expect(fused.optimizer.step({ maxNorm: 0 }).number()).toBeCloseTo(Math.sqrt(33), 5);
    apart.optimizer.step();
    expect(
      fused.params.map((parameter, i) => torch.equal(parameter, apart.params[i]!)),
    ).not.toContain(false);
    expect(() => fused.optimizer.step({ maxNorm: -1 })).toThrow("maxNorm must be a number of at");
    for (const { optimizer } of [fused, apart]) optimizer.dispose();
  });

  it("leaves only the norm behind", () => {
    const [{ params, optimizer }] = pair(kinds[0][1]);
    for (const parameter of params) parameter.grad = torch.onesLike(parameter);
    optimizer.step({ maxNorm: 1 });
    const { handles } = torch.memory();
    optimizer.step();
    optimizer.step({ maxNorm: 1 });
    expect(torch.memory().handles).toBe(handles + 1);
    optimizer.zeroGrad();
    expect(params.map(({ grad }) => grad)).toEqual(params.map(() => null));
    optimizer.dispose();
  });
});
