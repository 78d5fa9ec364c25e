import { beforeAll, describe, expect, it } from "vitest";
import { nn, optim, torch } from "../../lib/index.js";
import { python } from "../python.js";

const { schedules } = optim;
const STEPS = 40;

/** Base learning rates of the optimizer's two groups. */
const BASES = [0.1, 0.003];

type Make = (optimizer: optim.Optimizer) => optim.schedules.LRScheduler;

/** The same schedule in both languages; `o` is the optimizer, `S` torch.optim.lr_scheduler. */
const CASES: readonly [string, string, Make][] = [
  ["ConstantLR", "S.ConstantLR(o)", (o) => new schedules.ConstantLR(o)],
  [
    "ConstantLR with options",
    "S.ConstantLR(o, factor=0.25, total_iters=7)",
    (o) => new schedules.ConstantLR(o, { factor: 0.25, totalIters: 7 }),
  ],
  ["StepLR", "S.StepLR(o, 7)", (o) => new schedules.StepLR(o, { stepSize: 7 })],
  [
    "MultiStepLR",
    "S.MultiStepLR(o, [3, 8, 8, 20], gamma=0.3)",
    (o) => new schedules.MultiStepLR(o, { milestones: [8, 3, 20, 8], gamma: 0.3 }),
  ],
  [
    "ExponentialLR",
    "S.ExponentialLR(o, 0.9)",
    (o) => new schedules.ExponentialLR(o, { gamma: 0.9 }),
  ],
  ["LinearLR", "S.LinearLR(o)", (o) => new schedules.LinearLR(o)],
  [
    "LinearLR downwards",
    "S.LinearLR(o, start_factor=1.0, end_factor=0.0, total_iters=11)",
    (o) => new schedules.LinearLR(o, { startFactor: 1, endFactor: 0, totalIters: 11 }),
  ],
  [
    "CosineAnnealingLR, down and up again",
    "S.CosineAnnealingLR(o, 9, eta_min=1e-3)",
    (o) => new schedules.CosineAnnealingLR(o, { tMax: 9, etaMin: 1e-3 }),
  ],
  [
    "LambdaLR",
    "S.LambdaLR(o, [lambda t: 0.95 ** t, lambda t: 1 / (t + 1)])",
    (o) => new schedules.LambdaLR(o, [(t) => 0.95 ** t, (t) => 1 / (t + 1)]),
  ],
  [
    "SequentialLR",
    "S.SequentialLR(o, [S.LinearLR(o, 0.1, 1.0, 5), S.CosineAnnealingLR(o, 20, 1e-4), S.ConstantLR(o, 0.5, 3)], [5, 25])",
    (o) =>
      new schedules.SequentialLR(o, {
        schedules: [
          new schedules.LinearLR(o, { startFactor: 0.1, totalIters: 5 }),
          new schedules.CosineAnnealingLR(o, { tMax: 20, etaMin: 1e-4 }),
          new schedules.ConstantLR(o, { factor: 0.5, totalIters: 3 }),
        ],
        milestones: [5, 25],
      }),
  ],
  [
    "SequentialLR of the others",
    "S.SequentialLR(o, [S.ExponentialLR(o, 0.8), S.StepLR(o, 4, 0.5), S.MultiStepLR(o, [2, 6], 0.5), S.LambdaLR(o, lambda t: 1 / (1 + t))], [6, 12, 30])",
    (o) =>
      new schedules.SequentialLR(o, {
        schedules: [
          new schedules.ExponentialLR(o, { gamma: 0.8 }),
          new schedules.StepLR(o, { stepSize: 4, gamma: 0.5 }),
          new schedules.MultiStepLR(o, { milestones: [2, 6], gamma: 0.5 }),
          new schedules.LambdaLR(o, (t) => 1 / (1 + t)),
        ],
        milestones: [6, 12, 30],
      }),
  ],
  [
    "ChainedScheduler",
    "S.ChainedScheduler([S.ConstantLR(o, 0.1, 4), S.ExponentialLR(o, 0.9), S.StepLR(o, 10, 0.5)])",
    (o) =>
      new schedules.ChainedScheduler([
        new schedules.ConstantLR(o, { factor: 0.1, totalIters: 4 }),
        new schedules.ExponentialLR(o, { gamma: 0.9 }),
        new schedules.StepLR(o, { stepSize: 10, gamma: 0.5 }),
      ]),
  ],
  [
    "WarmupLR",
    "S.LambdaLR(o, lambda t: (t + 1) / 11 if t < 10 else 1.0)",
    (o) => new schedules.WarmupLR(o, { warmupSteps: 10 }),
  ],
  [
    "WarmupCosineLR",
    "S.LambdaLR(o, [warm_cosine(b) for b in bases])",
    (o) => new schedules.WarmupCosineLR(o, { warmupSteps: 6, totalSteps: 30, minLr: 1e-4 }),
  ],
  ...(["linear", "cosine", "sqrt"] as const).map((shape): [string, string, Make] => [
    `WarmupStableDecayLR, ${shape}`,
    `S.LambdaLR(o, [wsd(b, "${shape}") for b in bases])`,
    (o) =>
      new schedules.WarmupStableDecayLR(o, {
        warmupSteps: 5,
        stableSteps: 10,
        decaySteps: 15,
        minLr: 1e-4,
        shape,
      }),
  ]),
];

let expected: Record<string, number[][]>;

beforeAll(() => {
  expected = JSON.parse(
    python(`
import json, math, torch, warnings
warnings.simplefilter("ignore")
import torch.optim.lr_scheduler as S
bases = ${JSON.stringify(BASES)}
def warm_cosine(b):
    def f(t):
        if t < 6: return (t + 1) / 7
        d = min(1, (t - 6) / 24)
        return (1e-4 + 0.5 * (1 + math.cos(math.pi * d)) * (b - 1e-4)) / b
    return f
def wsd(b, shape):
    def f(t):
        if t < 5: return (t + 1) / 6
        d = min(1, max(0, (t - 15) / 15))
        h = {"linear": 1 - d, "cosine": 0.5 * (1 + math.cos(math.pi * d)), "sqrt": 1 - math.sqrt(d)}[shape]
        return (1e-4 + h * (b - 1e-4)) / b
    return f
out = {}
${CASES.map(
  ([name, code]) => `
o = torch.optim.SGD([{"params": [torch.zeros(1, requires_grad=True)], "lr": b} for b in bases], lr=1.0)
s = ${code}
rates = [[g["lr"] for g in o.param_groups]]
for _ in range(${STEPS}):
    s.step()
    rates.append([g["lr"] for g in o.param_groups])
out["""${name}"""] = rates`,
).join("\n")}
print(json.dumps(out))`),
  ) as Record<string, number[][]>;
});

function newOptimizer(): optim.SGD {
  return new optim.SGD(BASES.map((lr) => ({ params: [new nn.Parameter(torch.zeros([1]))], lr })));
}

function rates(optimizer: optim.SGD): number[] {
  return optimizer.paramGroups.map(({ lr }) => lr);
}

/**
 * The arithmetic is PyTorch's, but V8's cosine and power may differ from C's in the last place, and the formulas of
 * ours go through a factor of the base rate in Python.
 */
function expectRates(actual: readonly number[], reference: readonly number[]): void {
  for (const [group, rate] of actual.entries()) {
    const other = reference[group] as number;
    expect(Math.abs(rate - other)).toBeLessThanOrEqual(1e-13 * Math.max(...BASES, Math.abs(other)));
  }
}

describe("schedules equal torch.optim.lr_scheduler's", () => {
  it.each(CASES)("%s", (name, _code, make) => {
    const optimizer = newOptimizer();
    const schedule = make(optimizer);
    const reference = expected[name] as number[][];
    expectRates(rates(optimizer), reference[0] as number[]);
    for (let step = 1; step <= STEPS; step++) {
      schedule.step();
      expectRates(rates(optimizer), reference[step] as number[]);
      expect(schedule.getLastLr()).toEqual(rates(optimizer));
      expect(schedule.lr).toBe(rates(optimizer)[0]);
      expect(schedule.lastEpoch).toBe(step);
    }
    // A schedule that stayed where it began would have been noticed.
    expect(new Set(reference.map(([first]) => first)).size).toBeGreaterThan(1);
  });

  it.each(CASES)("%s continues from its state, through JSON", (_name, _code, make) => {
    for (const stop of [0, 1, 5, 9, 17, 26]) {
      const optimizer = newOptimizer();
      const schedule = make(optimizer);
      for (let step = 0; step < stop; step++) {
        schedule.step();
      }
      const state = JSON.parse(JSON.stringify(schedule.stateDict()));
      const otherOptimizer = newOptimizer();
      const other = make(otherOptimizer);
      other.loadStateDict(state);
      expect(rates(otherOptimizer)).toEqual(rates(optimizer));
      for (let step = stop; step < STEPS; step++) {
        schedule.step();
        other.step();
        expect(rates(otherOptimizer)).toEqual(rates(optimizer));
      }
    }
  });
});

describe("schedules", () => {
  it("hold the warm-up's promises: learning from the first step, the full rate after it, the least at the end", () => {
    const optimizer = newOptimizer();
    const schedule = new schedules.WarmupCosineLR(optimizer, {
      warmupSteps: 4,
      totalSteps: 10,
      minLr: 0.001,
    });
    const seen = [schedule.lr];
    for (let step = 0; step < 12; step++) {
      schedule.step();
      seen.push(schedule.lr);
    }
    expect(seen[0]).toBeCloseTo(0.02, 15);
    expect(seen[4]).toBe(0.1);
    expect(Math.max(...seen)).toBe(0.1);
    expect(seen.slice(10)).toEqual([0.001, 0.001, 0.001]);
  });

  it("keep the base rate when one follows another on the same optimizer", () => {
    const optimizer = newOptimizer();
    new schedules.ConstantLR(optimizer, { factor: 0.5 });
    expect(optimizer.paramGroups[0]?.initialLr).toBe(0.1);
    const { param_groups } = optimizer.stateDict();
    expect(param_groups.map(({ lr, initial_lr }) => [lr, initial_lr])).toEqual([
      [0.05, 0.1],
      [0.0015, 0.003],
    ]);
    const other = newOptimizer();
    other.loadStateDict(optimizer.stateDict());
    expect(other.paramGroups[0]?.initialLr).toBe(0.1);
  });

  it.each<[string, Make, string]>([
    [
      "ConstantLR's factor",
      (o) => new schedules.ConstantLR(o, { factor: 2 }),
      "factor must be from 0 to 1; got 2",
    ],
    [
      "StepLR's size",
      (o) => new schedules.StepLR(o, { stepSize: 0 }),
      "stepSize must be an integer of at least 1",
    ],
    [
      "CosineAnnealingLR's length",
      (o) => new schedules.CosineAnnealingLR(o, { tMax: 1.5 }),
      "got 1.5",
    ],
    [
      "WarmupCosineLR's end",
      (o) => new schedules.WarmupCosineLR(o, { warmupSteps: 5, totalSteps: 5 }),
      "totalSteps must be more than warmupSteps, 5; got 5",
    ],
    [
      "WarmupStableDecayLR's shape",
      (o) =>
        new schedules.WarmupStableDecayLR(o, {
          warmupSteps: 1,
          stableSteps: 1,
          decaySteps: 1,
          // @ts-expect-error: a misspelt shape does not compile either.
          shape: "exp",
        }),
      "linear, cosine, sqrt; got exp",
    ],
    ["LambdaLR's functions", (o) => new schedules.LambdaLR(o, [() => 1]), "needs 2 functions"],
    [
      "SequentialLR's milestones",
      (o) =>
        new schedules.SequentialLR(o, { schedules: [new schedules.LinearLR(o)], milestones: [1] }),
      "one milestone less than schedules, 0; got 1",
    ],
    [
      "schedules of another optimizer",
      (o) =>
        new schedules.SequentialLR(o, {
          schedules: [new schedules.LinearLR(newOptimizer())],
          milestones: [],
        }),
      "schedule 0 is for another optimizer",
    ],
    [
      "a composite that would have to start over",
      (o) =>
        new schedules.SequentialLR(o, {
          schedules: [
            new schedules.LinearLR(o),
            new schedules.ChainedScheduler([new schedules.ExponentialLR(o, { gamma: 0.9 })]),
          ],
          milestones: [5],
        }),
      "schedule 1 is a ChainedScheduler",
    ],
    ["no schedules", () => new schedules.ChainedScheduler([]), "at least one schedule"],
  ])("refuse %s", (_name, make, message) => {
    expect(() => make(newOptimizer())).toThrow(message);
  });

  it("refuse the state of a schedule with other settings or groups", () => {
    const state = new schedules.StepLR(newOptimizer(), { stepSize: 3 }).stateDict();
    const other = new schedules.StepLR(newOptimizer(), { stepSize: 4 });
    expect(() => other.loadStateDict(state)).toThrow("saved with step_size 3; this schedule has 4");
    const one = new schedules.StepLR(new optim.SGD([new nn.Parameter(torch.zeros([1]))]), {
      stepSize: 3,
    });
    expect(() => one.loadStateDict(state)).toThrow(
      "has 1 groups; the state has learning rates for 2",
    );
  });
});
