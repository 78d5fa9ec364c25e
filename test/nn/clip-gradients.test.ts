import { beforeAll, describe, expect, it } from "vitest";
import { nn, type Tensor, torch } from "../../lib/index.js";
import { expectEqual, pytorch, under } from "./pytorch.js";

const SHAPES = [[3, 4], [5], [], [2, 2, 2]];

const CASES: readonly [string, string, (parameters: Tensor[]) => Tensor | undefined][] = [
  ["norm above the limit", "clip_grad_norm_(ps, 1.0)", (ps) => nn.clipGradNorm_(ps, 1)],
  ["norm below the limit", "clip_grad_norm_(ps, 1000.0)", (ps) => nn.clipGradNorm_(ps, 1000)],
  [
    "1-norm",
    "clip_grad_norm_(ps, 2.5, norm_type=1.0)",
    (ps) => nn.clipGradNorm_(ps, 2.5, { normType: 1 }),
  ],
  [
    "infinity norm",
    "clip_grad_norm_(ps, 0.3, norm_type=math.inf)",
    (ps) => nn.clipGradNorm_(ps, 0.3, { normType: Number.POSITIVE_INFINITY }),
  ],
  [
    "value",
    "clip_grad_value_(ps, 0.5)",
    (ps) => {
      nn.clipGradValue_(ps, 0.5);
      return undefined;
    },
  ],
];

function parameters(dtypes: readonly ("float32" | "float64")[] = ["float32"]): Tensor[] {
  torch.manualSeed(3);
  return SHAPES.map((shape, index) => {
    const dtype = dtypes[index % dtypes.length] ?? "float32";
    const parameter = new nn.Parameter(torch.zeros(shape, { dtype }));
    parameter.grad = torch.randn(shape, { dtype });
    return parameter;
  });
}

let expected: Record<string, Tensor>;

beforeAll(() => {
  expected = pytorch(
    CASES.map(
      ([name, code]) => `
torch.manual_seed(3)
ps = [nn.Parameter(torch.zeros(s)) for s in ${JSON.stringify(SHAPES)}]
for p in ps: p.grad = torch.randn(p.shape)
n = nn.utils.${code}
if n is not None: keep("${name}/norm", n)
for i, p in enumerate(ps): keep(f"${name}/{i}", p.grad)`,
    ).join("\n"),
  );
});

describe("gradient clipping equals PyTorch's bit for bit", () => {
  it.each(CASES)("%s", (name, _code, clip) => {
    const clipped = parameters();
    const norm = clip(clipped);
    const actual = Object.fromEntries(clipped.map(({ grad }, index) => [String(index), grad]));
    expectEqual({ ...actual, ...(norm && { norm }) }, under(`${name}/`, expected));
  });
});

describe("gradient clipping", () => {
  it("takes parameters of several dtypes, and leaves out those without gradient", () => {
    const mixed = parameters(["float32", "float64"]);
    const without = new nn.Parameter(torch.zeros([2]));
    const before = mixed.flatMap(
      ({ grad }) => (grad as Tensor).double().flatten().tolist() as number[],
    );
    const norm = nn.clipGradNorm_([...mixed, without], 0.5).number();
    expect(norm).toBeCloseTo(Math.hypot(...before), 5);
    const after = mixed.flatMap(
      ({ grad }) => (grad as Tensor).double().flatten().tolist() as number[],
    );
    expect(Math.hypot(...after)).toBeCloseTo(0.5, 5);
    expect(without.grad).toBe(null);
  });

  it("returns 0 where there is no gradient, and takes a single tensor", () => {
    const parameter = new nn.Parameter(torch.zeros([2]));
    expect(nn.clipGradNorm_(parameter, 1).item()).toBe(0);
    parameter.grad = torch.tensor([3, 4]);
    expect(nn.clipGradNorm_(parameter, 1).item()).toBe(5);
  });

  it("reports a norm that is not finite only when asked", () => {
    const [parameter] = parameters() as [Tensor];
    (parameter.grad as Tensor).fill_(Number.NaN);
    expect(nn.clipGradNorm_([parameter], 1).item()).toBe(Number.NaN);
    expect(() => nn.clipGradNorm_([parameter], 1, { errorIfNonfinite: true })).toThrow(
      "total norm (p = 2) is NaN",
    );
  });

  it("leaves only the norm behind", () => {
    const clipped = parameters();
    using _scope = torch.scope();
    nn.clipGradNorm_(clipped, 1);
    const { handles } = torch.memory();
    nn.clipGradNorm_(clipped, 1);
    nn.clipGradValue_(clipped, 1);
    expect(torch.memory().handles).toBe(handles + 1);
  });
});
