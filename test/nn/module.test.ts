import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { nn, type Tensor, torch, WaveGPTError } from "../../lib/index.js";
import { python } from "../python.js";

class Inner extends nn.Module {
  readonly proj = new nn.Linear(2, 3, { bias: false });
  readonly scale = new nn.Parameter(torch.ones([3]));

  forward(x: Tensor): Tensor {
    return this.proj.forward(x).mul(this.scale);
  }
}

class Net extends nn.Module {
  readonly token_emb = new nn.Embedding(5, 2);
  readonly blocks = new nn.ModuleList([new Inner(), new Inner()]);
  readonly head: nn.Linear;
  readonly alpha = new nn.Parameter(torch.tensor(0.5));
  readonly mask = new nn.Buffer(torch.ones([2]));
  readonly cache = new nn.Buffer(torch.zeros([4]), { persistent: false });
  readonly absent: nn.Linear | null = null;
  readonly size = 5;
  readonly #hidden = new nn.Linear(1, 1);

  constructor() {
    super();
    this.head = new nn.Linear(3, 5);
  }

  forward(x: Tensor): Tensor {
    let y = this.token_emb.forward(x);
    for (const block of this.blocks) {
      y = block.forward(y).narrow(-1, 0, 2);
    }
    return this.head
      .forward(nn.functional.pad(y, [0, 1]))
      .mul(this.alpha)
      .add(this.hiddenWeights().sum().mul(0));
  }

  hiddenWeights(): Tensor {
    return this.#hidden.weight;
  }
}

const NAMES = [
  "alpha",
  "token_emb.weight",
  "blocks.0.scale",
  "blocks.0.proj.weight",
  "blocks.1.scale",
  "blocks.1.proj.weight",
  "head.weight",
  "head.bias",
];

describe("Module", () => {
  it("finds parameters, buffers and children by their fields: own first, then children, in order", () => {
    const net = new Net();
    expect(net.namedParameters().map(([name]) => name)).toEqual(NAMES);
    expect(net.parameters().map((parameter) => parameter.shape)).toEqual([
      [],
      [5, 2],
      [3],
      [3, 2],
      [3],
      [3, 2],
      [5, 3],
      [5],
    ]);
    expect(net.namedParameters("model")[0]?.[0]).toBe("model.alpha");
    expect(net.namedBuffers().map(([name]) => name)).toEqual(["mask", "cache"]);
    expect(net.buffers()[1]).toBe(net.cache);
    expect(net.namedChildren().map(([name]) => name)).toEqual(["token_emb", "blocks", "head"]);
    expect(net.children()[1]).toBe(net.blocks);
    expect(net.namedModules().map(([name]) => name)).toEqual([
      "",
      "token_emb",
      "blocks",
      "blocks.0",
      "blocks.0.proj",
      "blocks.1",
      "blocks.1.proj",
      "head",
    ]);
    expect(net.modules()[0]).toBe(net);
    expect(net.numParameters()).toBe(1 + 10 + 2 * (3 + 6) + 15 + 5);
  });

  it("lists a shared parameter once, but under each of its names in the state dict", () => {
    class Tied extends nn.Module {
      readonly embedding = new nn.Embedding(5, 3);
      readonly head = new nn.Linear(3, 5, { bias: false });
      readonly tied = this.embedding.weight;
      readonly again = this.embedding;
    }
    const tied = new Tied();
    expect(tied.namedParameters().map(([name]) => name)).toEqual(["tied", "head.weight"]);
    expect(tied.numParameters()).toBe(30);
    expect(Object.keys(tied.stateDict())).toEqual([
      "tied",
      "embedding.weight",
      "head.weight",
      "again.weight",
    ]);
    expect(tied.modules()).toHaveLength(3);
  });

  it("refuses a plain array of modules, which would be forgotten", () => {
    class Forgetful extends nn.Module {
      readonly layers = [new nn.Linear(1, 1)];
    }
    expect(() => new Forgetful().parameters()).toThrow("Forgetful.layers is a plain array");
  });

  it("does not compile with a misspelt field or option", () => {
    const net = new Net();
    // @ts-expect-error: the field is token_emb.
    expect(() => net.token_embedding.forward(torch.zeros([1]))).toThrow(TypeError);
    // @ts-expect-error: the field is in_proj_weight.
    expect(new nn.MultiheadAttention(2, 1).in_projection_weight).toBe(undefined);
    // @ts-expect-error: the option is bias.
    expect(new nn.Linear(2, 2, { biass: false }).bias).not.toBe(null);
    // @ts-expect-error: the option is batchFirst.
    expect(new nn.MultiheadAttention(2, 1, { batch_first: true }).batchFirst).toBe(false);
    // @ts-expect-error: the method is parameters().
    expect(net.parameter).toBe(undefined);
    // @ts-expect-error: ModuleList keeps its members' type, and Inner has no such field.
    expect(net.blocks.at(0).projection).toBe(undefined);
    // @ts-expect-error: a ModuleList cannot be called.
    expect(net.blocks.forward).toBe(undefined);
  });

  it("switches training and evaluation in every module", () => {
    const net = new Net();
    expect(net.modules().map(({ training }) => training)).not.toContain(false);
    expect(net.eval()).toBe(net);
    expect(net.modules().map(({ training }) => training)).not.toContain(true);
    net.blocks.train();
    expect([net.training, net.blocks.at(1).proj.training]).toEqual([false, true]);
  });

  it("applies a function to the children first, then to itself", () => {
    const order: string[] = [];
    new nn.Sequential(new nn.Linear(1, 1), new nn.Sequential(new nn.ReLU())).apply((module) => {
      order.push(module.constructor.name);
    });
    expect(order).toEqual(["Linear", "ReLU", "Sequential", "Sequential"]);
  });

  it("freezes and drops gradients", () => {
    const net = new Net();
    const x = torch.tensor([1, 2], { dtype: "int64" });
    net.blocks.requiresGrad_(false);
    expect(net.numParameters({ trainableOnly: true })).toBe(31);
    net.forward(x).sum().backward();
    expect(
      net
        .namedParameters()
        .filter(([, { grad }]) => grad === null)
        .map(([name]) => name),
    ).toEqual(NAMES.slice(2, 6));
    net.zeroGrad({ setToNone: false });
    expect(net.head.weight.grad?.abs().sum().item()).toBe(0);
    net.zeroGrad();
    expect(net.parameters().every(({ grad }) => grad === null)).toBe(true);
  });

  it("converts in place: parameters, gradients and floating-point buffers", () => {
    class Counting extends nn.Module {
      readonly layer = new nn.Linear(2, 2);
      readonly count = new nn.Buffer(torch.zeros([], { dtype: "int64" }));
      readonly mean = new nn.Buffer(torch.zeros([2]));
    }
    const module = new Counting();
    const { weight } = module.layer;
    const before = weight.detach().clone();
    module.layer
      .forward(torch.ones([1, 2]))
      .sum()
      .backward();
    expect(module.to("float64")).toBe(module);
    expect(module.layer.weight).toBe(weight);
    expect([weight.dtype, weight.grad?.dtype, module.mean.dtype, module.count.dtype]).toEqual([
      "float64",
      "float64",
      "float64",
      "int64",
    ]);
    expect([weight.requiresGrad, weight.isLeaf]).toEqual([true, true]);
    expect(torch.equal(weight.float(), before)).toBe(true);
    module.zeroGrad();
    module.layer
      .forward(torch.ones([1, 2], { dtype: "float64" }))
      .sum()
      .backward();
    expect(weight.grad?.tolist()).toEqual([
      [1, 1],
      [1, 1],
    ]);
    expect(module.to({ device: "cpu", dtype: "bfloat16" }).layer.weight.dtype).toBe("bfloat16");
    expect(module.to("cpu").layer.weight.dtype).toBe("bfloat16");
    expect(() => module.to("int64")).toThrow("floating-point or complex dtype; got int64");
  });

  it("lets a state dict go round, prefix and all", () => {
    const net = new Net();
    const other = new Net();
    const state = net.stateDict();
    expect(Object.keys(state)).toEqual(["alpha", "mask", ...NAMES.slice(1)]);
    expect(Object.keys(net.stateDict({ prefix: "model." }))[1]).toBe("model.mask");
    expect(state.alpha?.requiresGrad).toBe(false);
    expect(other.loadStateDict(state)).toEqual({ missingKeys: [], unexpectedKeys: [] });
    for (const [name, tensor] of Object.entries(other.stateDict())) {
      expect([name, torch.equal(tensor, state[name] as Tensor)]).toEqual([name, true]);
    }
    torch.noGrad(() => net.alpha.fill_(7));
    expect(state.alpha?.item()).toBe(7);
    expect(other.alpha.item()).toBe(0.5);
  });

  it("lists everything that does not fit a state dict at once, and loads nothing", () => {
    const net = new Net();
    const before = Object.values(net.stateDict()).map((tensor) => tensor.clone());
    const state: Record<string, Tensor> = Object.fromEntries(
      Object.entries(net.stateDict()).map(([name, tensor]) => [name, tensor.add(1)]),
    );
    delete state["head.bias"];
    delete state.alpha;
    state["head.weight"] = torch.zeros([3, 5]);
    state["blocks.1.scale"] = torch.zeros([]);
    state["blocks.2.scale"] = torch.zeros([3]);
    state["head.weights"] = torch.zeros([5, 3]);
    let error: unknown;
    try {
      net.loadStateDict(state);
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(WaveGPTError);
    const { code, message } = error as WaveGPTError;
    expect(code).toBe("ERR_WAVEGPT_STATE_DICT");
    expect(message.split("\n")).toEqual([
      "The state dict does not fit Net, and nothing was loaded:",
      '  Missing: "alpha", "head.bias".',
      '  Unexpected: "blocks.2.scale", "head.weights".',
      '  "blocks.1.scale" has shape []; [3] was expected.',
      '  "head.weight" has shape [3, 5]; [5, 3] was expected.',
    ]);
    for (const [index, tensor] of Object.values(net.stateDict()).entries()) {
      expect(torch.equal(tensor, before[index] as Tensor)).toBe(true);
    }
    delete state["head.weight"];
    delete state["blocks.1.scale"];
    expect(net.loadStateDict(state, { strict: false })).toEqual({
      missingKeys: ["alpha", "blocks.1.scale", "head.weight", "head.bias"],
      unexpectedKeys: ["blocks.2.scale", "head.weights"],
    });
    expect(net.mask.tolist()).toEqual([2, 2]);
    expect(() => net.loadStateDict({ alpha: 3 as unknown as Tensor }, { strict: false })).toThrow(
      '"alpha" is number; a Tensor was expected',
    );
  });

  it("prints as PyTorch", () => {
    class Block extends nn.Module {
      readonly attention = new nn.MultiheadAttention(8, 2);
      readonly norm = new nn.LayerNorm(8);
    }
    class Model extends nn.Module {
      readonly emb = new nn.Embedding(10, 8, { paddingIdx: 1 });
      readonly blocks = new nn.ModuleList([
        new Block(),
        new Block(),
        new nn.Linear(1, 2),
        new Block(),
      ]);
      readonly seq = new nn.Sequential(
        new nn.Conv1d(2, 4, 3),
        new nn.Conv1d(2, 4, 3, { padding: 1, dilation: 2, groups: 2, bias: false, stride: 3 }),
        new nn.Conv1d(2, 4, 3, { padding: "same" }),
        new nn.GELU(),
        new nn.GELU({ approximate: "tanh" }),
        new nn.ReLU(),
        new nn.SiLU(),
        new nn.Tanh(),
        new nn.Sigmoid(),
        new nn.Identity(),
        new nn.Dropout(0.25),
      );
      readonly rms = new nn.ModuleDict({
        a: new nn.RMSNorm([2, 3], { eps: 1e-6 }),
        b: new nn.RMSNorm(4),
        c: new nn.LayerNorm(4, { bias: false, eps: 0.001 }),
      });
    }
    const printed = python(`
from torch import nn
class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2)
        self.norm = nn.LayerNorm(8)
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(10, 8, padding_idx=1)
        self.blocks = nn.ModuleList([Block(), Block(), nn.Linear(1, 2), Block()])
        self.seq = nn.Sequential(
            nn.Conv1d(2, 4, 3),
            nn.Conv1d(2, 4, 3, padding=1, dilation=2, groups=2, bias=False, stride=3),
            nn.Conv1d(2, 4, 3, padding="same"),
            nn.GELU(), nn.GELU(approximate="tanh"), nn.ReLU(), nn.SiLU(), nn.Tanh(), nn.Sigmoid(), nn.Identity(),
            nn.Dropout(0.25))
        self.rms = nn.ModuleDict({"a": nn.RMSNorm((2, 3), eps=1e-6), "b": nn.RMSNorm(4), "c": nn.LayerNorm(4, bias=False, eps=0.001)})
print(Model())
`).trimEnd();
    // PyTorch's attention has a subclass of Linear of its own, for its quantiser's sake.
    expect(String(new Model())).toBe(
      printed.replaceAll("NonDynamicallyQuantizableLinear", "Linear"),
    );
    expect(inspect(new nn.Linear(1, 2))).toBe("Linear(in_features=1, out_features=2, bias=True)");
  });
});

describe("containers", () => {
  it("index, grow and iterate", () => {
    const list = new nn.ModuleList([new nn.Linear(1, 2)]);
    expect(list.push(new nn.Linear(2, 3))).toBe(2);
    expect(list.length).toBe(2);
    expect(list.at(-1).outFeatures).toBe(3);
    expect([...list].map(({ inFeatures }) => inFeatures)).toEqual([1, 2]);
    expect(Object.keys(list.stateDict())).toEqual(["0.weight", "0.bias", "1.weight", "1.bias"]);
    expect(() => list.at(2)).toThrow("ModuleList has 2 modules; got index 2");
    expect(() => new nn.ModuleList([3 as unknown as nn.Module])).toThrow(
      "takes modules; got number",
    );
  });

  it("name modules in a ModuleDict", () => {
    const dict = new nn.ModuleDict<nn.Linear>({ a: new nn.Linear(1, 1) });
    dict.set("b", new nn.Linear(1, 2, { bias: false }));
    expect([dict.size, dict.has("b"), dict.get("b").outFeatures]).toEqual([2, true, 2]);
    expect(Object.keys(dict.stateDict())).toEqual(["a.weight", "a.bias", "b.weight"]);
    expect(() => dict.get("c")).toThrow('no module "c"; it has "a", "b"');
  });
});

describe("ownership", () => {
  it("keeps parameters and buffers out of scopes, and leaves no temporaries in them", () => {
    const before = torch.memory().handles;
    let made = 0;
    let modules: nn.Module[] = [];
    {
      using _scope = torch.scope();
      modules = [
        new nn.Linear(3, 4),
        new nn.Embedding(4, 2, { paddingIdx: 0 }),
        new nn.LayerNorm(4),
        new nn.RMSNorm(4),
        new nn.Conv1d(2, 2, 3),
        new nn.MultiheadAttention(4, 2, { kdim: 3, addBiasKv: true }),
      ];
      made = torch.memory().handles - before;
    }
    const owned = modules.flatMap((module) => module.parameters()).length;
    expect(made).toBe(owned);
    expect(torch.memory().handles - before).toBe(owned);
    for (const module of modules) {
      module.dispose();
    }
    expect(torch.memory().handles).toBe(before);
  });

  it("keeps a parameter made from a temporary alive after the temporary's scope", () => {
    const before = torch.memory().handles;
    const parameter = torch.tidy(() => new nn.Parameter(torch.ones([2])));
    expect(torch.memory().handles).toBe(before + 1);
    expect(parameter.tolist()).toEqual([1, 1]);
    expect(parameter).toBeInstanceOf(nn.Parameter);
    parameter.dispose();
    expect(torch.memory().handles).toBe(before);
  });

  it("frees parameters with their gradients", () => {
    const before = torch.memory();
    {
      using module = new nn.Sequential(new nn.Linear(100, 100), new nn.Linear(100, 100));
      using _scope = torch.scope();
      module
        .forward(torch.ones([2, 100]))
        .sum()
        .backward();
      expect(module.parameters().every(({ grad }) => grad !== null)).toBe(true);
    }
    const after = torch.memory();
    expect([after.handles, after.bytes]).toEqual([before.handles, before.bytes]);
  });

  it("moves and converts without leaving temporaries", () => {
    using module = new nn.Sequential(new nn.Linear(4, 4), new nn.Linear(4, 4));
    const before = torch.memory().handles;
    module.to("float64").to("float32");
    expect(torch.memory().handles).toBe(before);
  });
});
