import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { nn, optim, safetensors, type Tensor, torch, type WaveGPTError } from "../../lib/index.js";
import { expectClose, pytorch, under } from "../nn/pytorch.js";

const SHAPES = [[3, 4], [5], [], [2, 3, 2], [17, 33]];
const STEPS = 5;

/** The same optimizer in both languages. */
const CASES: readonly [string, string, (params: Tensor[]) => optim.Optimizer][] = [
  ["AdamW", "AdamW(ps, fused=True)", (ps) => new optim.AdamW(ps)],
  [
    "AdamW with options",
    "AdamW(ps, lr=3e-3, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1, amsgrad=True, fused=True)",
    (ps) =>
      new optim.AdamW(ps, {
        lr: 3e-3,
        betas: [0.8, 0.95],
        eps: 1e-6,
        weightDecay: 0.1,
        amsgrad: true,
      }),
  ],
  [
    "AdamW that maximises",
    "AdamW(ps, maximize=True, fused=True)",
    (ps) => new optim.AdamW(ps, { maximize: true }),
  ],
  [
    "AdamW of two groups",
    "AdamW([{'params': ps[:2], 'lr': 0.01}, {'params': ps[2:], 'weight_decay': 0.0, 'betas': (0.5, 0.9)}], lr=2e-3, fused=True)",
    (ps) =>
      new optim.AdamW(
        [
          { params: ps.slice(0, 2), lr: 0.01 },
          { params: ps.slice(2), weightDecay: 0, betas: [0.5, 0.9] },
        ],
        { lr: 2e-3 },
      ),
  ],
  ["Adam", "Adam(ps, lr=0.01, fused=True)", (ps) => new optim.Adam(ps, { lr: 0.01 })],
  [
    "Adam with decay",
    "Adam(ps, weight_decay=0.1, amsgrad=True, fused=True)",
    (ps) => new optim.Adam(ps, { weightDecay: 0.1, amsgrad: true }),
  ],
  ["SGD", "SGD(ps, lr=0.1, fused=True)", (ps) => new optim.SGD(ps, { lr: 0.1 })],
  [
    "SGD with momentum",
    "SGD(ps, lr=0.1, momentum=0.9, dampening=0.2, weight_decay=0.01, fused=True)",
    (ps) => new optim.SGD(ps, { lr: 0.1, momentum: 0.9, dampening: 0.2, weightDecay: 0.01 }),
  ],
  [
    "SGD with Nesterov's momentum, maximising",
    "SGD(ps, momentum=0.8, nesterov=True, maximize=True, fused=True)",
    (ps) => new optim.SGD(ps, { momentum: 0.8, nesterov: true, maximize: true }),
  ],
];

/** Times a tensor's largest value: SGD is libtorch's own, Adam rounds a tensor's last elements in another way. */
const tolerance = (name: string) => (name.startsWith("SGD") ? 0 : 4 * 2 ** -23);

/** Three steps, a checkpoint, and two more; parameter 1 has no gradient in step 1. */
const PYTHON_STEPS = (code: string, name: string): string => `
torch.manual_seed(11)
ps = [nn.Parameter(torch.randn(s)) for s in ${JSON.stringify(SHAPES)}]
o = torch.optim.${code}
for step in range(${STEPS}):
    for i, p in enumerate(ps):
        g = torch.randn(p.shape)
        p.grad = None if step == 1 and i == 1 else g
    o.step()
    for i, p in enumerate(ps): keep(f"${name}/param.{step}.{i}", p)
for k, s in o.state_dict()["state"].items():
    for n, t in s.items():
        if t is not None: keep(f"${name}/state.{k}.{n}", t)`;

function draw(): Tensor[] {
  torch.manualSeed(11);
  return SHAPES.map((shape) => new nn.Parameter(torch.randn(shape)));
}

function setGradients(params: readonly Tensor[], step: number): void {
  for (const [index, parameter] of params.entries()) {
    const gradient = torch.randn(parameter.shape);
    parameter.grad = step === 1 && index === 1 ? null : gradient;
  }
}

const FLAT_STATE = `
def load_flat(o, file):
    state = {}
    for k, t in load_file(file + ".safetensors").items():
        _, i, n = k.split(".", 2)
        state.setdefault(int(i), {})[n] = t
    o.load_state_dict({"state": state, "param_groups": json.load(open(file + ".json"))["param_groups"]})
def save_flat(o, file):
    sd = o.state_dict()
    save_file({f"state.{i}.{n}": t for i, s in sd["state"].items() for n, t in s.items() if t is not None}, file + ".safetensors")
    json.dump({"param_groups": sd["param_groups"]}, open(file + ".json", "w"))
`;

/** PyTorch loads what we saved after three steps, saves it again, and takes one step. */
const PYTHON_TAKEOVER = (code: string, name: string, index: number): string => `
saved = load_file(f"{folder}/${index}.parameters.safetensors")
ps = [nn.Parameter(saved[str(i)]) for i in range(${SHAPES.length})]
o = torch.optim.${code}
load_flat(o, f"{folder}/${index}")
save_flat(o, f"{folder}/${index}.theirs")
torch.manual_seed(5)
for p in ps: p.grad = torch.randn(p.shape)
o.step()
for i, p in enumerate(ps): keep(f"${name}/continued.{i}", p)`;

let folder: string;
let expected: Record<string, Tensor>;

/** Our optimizers after three steps. */
const stopped: { params: Tensor[]; optimizer: optim.Optimizer }[] = [];

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), "wavegpt-test-"));
  for (const [index, [, , make]] of CASES.entries()) {
    const params = draw();
    const optimizer = make(params);
    for (let step = 0; step < 3; step++) {
      setGradients(params, step);
      optimizer.step();
    }
    const { tensors, config } = optimizer.stateTensors();
    const file = path.join(folder, String(index));
    safetensors.save(`${file}.safetensors`, tensors);
    safetensors.save(`${file}.parameters.safetensors`, named(params));
    writeFileSync(`${file}.json`, JSON.stringify(config));
    stopped.push({ params, optimizer });
  }
  expected = pytorch(
    [
      FLAT_STATE,
      "folder = sys.argv[2]",
      ...CASES.map(([name, code]) => PYTHON_STEPS(code, name)),
      ...CASES.map(([name, code], index) => PYTHON_TAKEOVER(code, name, index)),
    ].join("\n"),
    folder,
  );
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

function named(tensors: readonly Tensor[]): Record<string, Tensor> {
  return Object.fromEntries(tensors.map((tensor, index) => [String(index), tensor]));
}

describe("optimizers equal torch.optim's fused ones", () => {
  it.each(CASES)("%s", (name, _code, make) => {
    const params = draw();
    using optimizer = make(params);
    const actual: Record<string, Tensor> = {};
    for (let step = 0; step < STEPS; step++) {
      setGradients(params, step);
      optimizer.step();
      for (const [index, parameter] of params.entries()) {
        actual[`param.${step}.${index}`] = parameter.detach().clone();
      }
    }
    const { tensors } = optimizer.stateTensors();
    const reference = Object.fromEntries(
      Object.entries(under(`${name}/`, expected)).filter(([key]) => !key.startsWith("continued.")),
    );
    expectClose({ ...actual, ...tensors }, reference, tolerance(name));
    expect(Object.keys({ ...actual, ...tensors }).sort()).toEqual(Object.keys(reference).sort());
  });
});

describe("optimizer state goes to PyTorch and back, and training continues as theirs", () => {
  it.each(CASES.map(([name, , make], index) => ({ name, make, index })))(
    "$name",
    ({ name, make, index }) => {
      const continued = under(`${name}/continued.`, expected);
      const { params, optimizer } = stopped[index] as (typeof stopped)[number];
      // A new optimizer of ours goes on from what PyTorch saved.
      const copies = params.map((parameter) => new nn.Parameter(parameter.detach().clone()));
      using other = make(copies);
      const file = path.join(folder, `${index}.theirs`);
      const config = JSON.parse(readFileSync(`${file}.json`, "utf8"));
      other.loadStateTensors(safetensors.load(`${file}.safetensors`), config);
      for (const [set, stepper] of [
        [params, optimizer],
        [copies, other],
      ] as const) {
        torch.manualSeed(5);
        for (const parameter of set) {
          parameter.grad = torch.randn(parameter.shape);
        }
        stepper.step();
        expect(Object.keys(continued)).toHaveLength(SHAPES.length);
        expectClose(named(set), continued, tolerance(name));
      }
      const options = other.paramGroups.map(({ params: _, ...rest }) => rest);
      expect(options).toEqual(optimizer.paramGroups.map(({ params: _, ...rest }) => rest));
      optimizer.dispose();
    },
  );
});

describe("optimizers", () => {
  it("takes bfloat16 parameters, keeping the counter in float32", () => {
    const weight = new nn.Parameter(torch.ones([4], { dtype: "bfloat16" }));
    using optimizer = new optim.AdamW([weight], { lr: 0.125, weightDecay: 0 });
    weight.grad = torch.ones([4], { dtype: "bfloat16" });
    optimizer.step();
    expect(weight.tolist()).toEqual([0.875, 0.875, 0.875, 0.875]);
    const { state } = optimizer.stateDict();
    expect([state[0]?.step?.dtype, state[0]?.exp_avg?.dtype]).toEqual(["float32", "bfloat16"]);
  });

  it("takes names, several dtypes, and groups added later", () => {
    const model = new nn.Sequential(new nn.Linear(2, 2), new nn.Linear(2, 2, { dtype: "float64" }));
    using optimizer = new optim.AdamW(model.namedParameters(), { lr: 0.5 });
    const late = new nn.Parameter(torch.ones([2]));
    optimizer.addParamGroup({ params: [late], lr: 0.25, weightDecay: 0 });
    const { param_groups } = optimizer.stateDict();
    expect(param_groups).toEqual([
      {
        lr: 0.5,
        betas: [0.9, 0.999],
        eps: 1e-8,
        weight_decay: 0.01,
        amsgrad: false,
        maximize: false,
        foreach: null,
        capturable: false,
        differentiable: false,
        fused: true,
        decoupled_weight_decay: true,
        param_names: ["0.weight", "0.bias", "1.weight", "1.bias"],
        params: [0, 1, 2, 3],
      },
      expect.objectContaining({ lr: 0.25, weight_decay: 0, params: [4] }),
    ]);
    for (const parameter of [...model.parameters(), late]) {
      parameter.grad = torch.onesLike(parameter);
    }
    optimizer.step();
    // Adam's first step is lr for any gradient: 1 - 0.25.
    expect(late.tolist()).toEqual([0.75, 0.75]);
    optimizer.zeroGrad({ setToNone: false });
    expect(late.grad?.tolist()).toEqual([0, 0]);
    optimizer.zeroGrad();
    expect(late.grad).toBe(null);
  });

  it("leaves parameters without gradient alone, and gives them no state", () => {
    const [a, b] = [new nn.Parameter(torch.ones([2])), new nn.Parameter(torch.ones([2]))];
    using optimizer = new optim.AdamW([a, b]);
    a.grad = torch.ones([2]);
    optimizer.step();
    expect(b.tolist()).toEqual([1, 1]);
    expect(Object.keys(optimizer.stateDict().state)).toEqual(["0"]);
  });

  it("changes options between steps", () => {
    const weight = new nn.Parameter(torch.zeros([1]));
    using optimizer = new optim.SGD([weight], { lr: 1 });
    const [group] = optimizer.paramGroups;
    weight.grad = torch.ones([1]);
    optimizer.step();
    (group as { lr: number }).lr = 0.5;
    optimizer.step();
    expect(weight.item()).toBe(-1.5);
  });

  it.each([
    ["AdamW", (ps: Tensor[]) => new optim.AdamW(ps, { capturable: true })],
    ["Adam", (ps: Tensor[]) => new optim.Adam(ps, { capturable: true })],
  ] as const)("takes the learning rate from a tensor where %s is capturable", (name, make) => {
    const rates = [1e-2, 1e-2, 3e-3, 0];
    const expected = pytorch(`
torch.manual_seed(11)
ps = [nn.Parameter(torch.randn(s)) for s in ${JSON.stringify(SHAPES)}]
lr = torch.tensor(0.0)
o = torch.optim.${name}(ps, lr=lr, fused=True)
for rate in ${JSON.stringify(rates)}:
    lr.fill_(rate)
    for p in ps: p.grad = torch.randn(p.shape)
    o.step()
for i, p in enumerate(ps): keep(f"param.{i}", p)`);
    const params = draw();
    using optimizer = make(params);
    for (const [step, rate] of rates.entries()) {
      using _ = torch.scope();
      optimizer.paramGroups[0]!.lr = rate;
      // Parameter 1 has a gradient at each step here.
      setGradients(params, step + 2);
      optimizer.step();
    }
    const got = Object.fromEntries(params.map((p, i) => [`param.${i}`, p.detach()]));
    expectClose(got, expected, tolerance(name));
    // Of how it computes, not of what: a state saved elsewhere does not change it.
    const saved = optimizer.stateDict();
    expect(saved.param_groups[0]).toMatchObject({ capturable: true });
    using other = new optim.AdamW(params);
    other.step();
    if (name === "AdamW") optimizer.loadStateDict(other.stateDict());
    expect(optimizer.paramGroups[0]!.capturable).toBe(true);
  });

  it("owns its state: no scope frees it, dispose does", () => {
    const params = draw();
    const before = torch.memory().handles;
    const optimizer = new optim.AdamW(params, { amsgrad: true });
    {
      using _scope = torch.scope();
      setGradients(params, 0);
      optimizer.step();
    }
    const gradients = params.length;
    expect(torch.memory().handles - before).toBeLessThanOrEqual(4 * params.length + gradients);
    for (let step = 0; step < 3; step++) {
      using _scope = torch.scope();
      setGradients(params, 0);
      optimizer.step();
      const { state } = optimizer.stateDict();
      expect(state[0]?.step?.item()).toBe(step + 2);
    }
    optimizer.zeroGrad();
    expect(torch.memory().handles - before).toBe(4 * params.length);
    optimizer.loadStateDict({
      ...optimizer.stateDict(),
      state: {},
    });
    expect(torch.memory().handles).toBe(before);
    optimizer.dispose();
  });

  it.each<[string, () => unknown, string]>([
    ["no parameters", () => new optim.AdamW([]), "got no parameters"],
    ["one tensor", () => new optim.AdamW(torch.zeros([2])), "Put it in a list"],
    ["something else", () => new optim.SGD([3 as unknown as Tensor]), "got number at position 0"],
    [
      "a tensor that is no leaf",
      () => new optim.SGD([new nn.Parameter(torch.ones([2])).mul(2)]),
      "result of MulBackward",
    ],
    [
      "a tensor twice",
      () => {
        const weight = new nn.Parameter(torch.ones([1]));
        return new optim.Adam([{ params: [weight] }, { params: [weight] }]);
      },
      "same tensor twice",
    ],
    [
      "negative lr",
      () => new optim.AdamW(draw(), { lr: -1 }),
      "lr must be a number of at least 0; got -1",
    ],
    [
      "beta of 1",
      () => new optim.Adam(draw(), { betas: [0.9, 1] }),
      "betas[1] must be from 0 to below 1",
    ],
    [
      "nesterov alone",
      () => new optim.SGD(draw(), { nesterov: true }),
      "nesterov needs a momentum",
    ],
    // @ts-expect-error: a misspelt option does not compile.
    ["none", () => new optim.AdamW([], { weight_decay: 1 }), "got no parameters"],
  ])("refuse %s", (_name, make, message) => {
    expect(make).toThrow(message);
  });

  it("lists everything that does not fit a state dict, and loads nothing", () => {
    const params = draw();
    using optimizer = new optim.AdamW(params, { lr: 0.5 });
    setGradients(params, 0);
    optimizer.step();
    const { state, param_groups } = optimizer.stateDict();
    const { exp_avg: _, ...first } = state[0] as optim.ParamState;
    const wrong: optim.OptimizerStateDict = {
      state: {
        ...state,
        0: { ...first, extra: torch.zeros([1]) },
        1: { ...state[1], exp_avg_sq: torch.zeros([2]) },
        9: first,
      },
      param_groups: param_groups.map((group) => ({ ...group, lr: 7 })),
    };
    let error: unknown;
    try {
      optimizer.loadStateDict(wrong);
    } catch (caught) {
      error = caught;
    }
    expect((error as WaveGPTError).code).toBe("ERR_WAVEGPT_STATE_DICT");
    expect((error as WaveGPTError).message.split("\n  ").slice(1)).toEqual([
      "state.0.exp_avg is missing.",
      "state.0.extra is unexpected.",
      "state.1.exp_avg_sq has shape [2]; [5] was expected.",
      "state.9 is of no parameter of the groups.",
    ]);
    expect(optimizer.paramGroups[0]?.lr).toBe(0.5);
    expect(optimizer.stateDict().state[0]?.step?.item()).toBe(1);
    expect(() => new optim.AdamW(params.slice(1)).loadStateDict({ state, param_groups })).toThrow(
      "groups of [4] parameters were expected, it has [5]",
    );
    expect(() => new optim.Adam(params).loadStateDict({ state, param_groups })).toThrow(
      "The state dict is of AdamW",
    );
    expect(() =>
      optimizer.loadStateTensors({ "state.x": torch.zeros([1]) }, { param_groups }),
    ).toThrow('"state.x" is no name');
  });

  it("takes counters as PyTorch's older versions saved them", () => {
    const weight = new nn.Parameter(torch.ones([2]));
    using optimizer = new optim.AdamW([weight]);
    const { param_groups } = optimizer.stateDict();
    const moments = { exp_avg: torch.ones([2]), exp_avg_sq: torch.ones([2]) };
    for (const step of [
      4 as unknown as Tensor,
      torch.tensor([4]),
      torch.tensor(4, { dtype: "int64" }),
    ]) {
      optimizer.loadStateDict({ state: { 0: { step, ...moments } }, param_groups });
      const own = optimizer.stateDict().state[0]?.step;
      expect([own?.item(), own?.dtype, own?.shape]).toEqual([4, "float32", []]);
    }
  });
});
