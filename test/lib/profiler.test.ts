import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { binding } from "../../lib/binding.js";
import { nn, type Profile, type ProfilerEvent, torch } from "../../lib/index.js";
import { keyAverages } from "../../lib/profiler/key-averages.js";
import { inside, readChromeTrace } from "./chrome-trace.js";

const { profile, recordFunction } = torch.profiler;
const folder = mkdtempSync(path.join(tmpdir(), "wavegpt-profiler-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;
const newFile = (ending = ".json") => path.join(folder, `${files++}${ending}`);

const linear = new nn.Linear(16, 16);
const work = () =>
  torch.tidy(() => {
    const loss = recordFunction("forward", () =>
      linear
        .forward(torch.ones([4, 16]))
        .relu()
        .sum(),
    );
    recordFunction("backward", () => loss.backward());
  });

const names = (recorded: Profile) => recorded.events().map(({ name }) => name);
const codeOf = (run: () => unknown): unknown => {
  try {
    run();
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
  return "nothing was thrown";
};

describe("a profile", () => {
  test("has the operators, forward and backward, in the ranges around them", () => {
    const recorded = profile({}, work);
    const file = newFile();
    recorded.exportChromeTrace(file);
    const { spans, problems, traceName } = readChromeTrace(file);
    expect(problems).toEqual([]);
    expect(traceName).toBe(path.basename(file));
    const one = (name: string) => {
      const found = spans.filter((span) => span.name === name);
      expect(found, name).toHaveLength(1);
      return found[0]!;
    };
    const forward = one("forward");
    const backward = one("backward");
    expect(forward.cat).toBe("user_annotation");
    for (const name of ["aten::ones", "aten::linear", "aten::relu"]) {
      expect(inside(one(name), forward), name).toBe(true);
    }
    expect(inside(one("aten::addmm"), one("aten::linear"))).toBe(true);
    const ran = spans.filter(({ name }) => name.startsWith("autograd::engine::evaluate_function"));
    expect(ran.length).toBeGreaterThan(3);
    for (const span of ran) expect(inside(span, backward), span.name).toBe(true);
    expect(one("aten::addmm").args).not.toHaveProperty("Input Dims");
    expect(backward.ts).toBeGreaterThanOrEqual(forward.ts + forward.dur);
  });

  test("records nothing before and after, and what is between start and stop over turns", async () => {
    const recorded = new torch.profiler.Profile();
    torch.tidy(() => torch.zeros([1]));
    recorded.start();
    torch.tidy(() => torch.ones([1]));
    await new Promise((resolve) => setImmediate(resolve));
    torch.tidy(() => torch.arange(3));
    recorded.stop();
    torch.tidy(() => torch.zeros([1]));
    expect(names(recorded)).toEqual(expect.arrayContaining(["aten::ones", "aten::arange"]));
    expect(names(recorded)).not.toContain("aten::zeros");
  });

  test("has the arguments' sizes with recordShapes, and is valid JSON with infinities among them", () => {
    const recorded = profile({ recordShapes: true }, () =>
      torch.tidy(() =>
        torch
          .ones([2, 3])
          .maskedFill(torch.ones([3]).gt(0), -Infinity)
          .add(NaN),
      ),
    );
    const file = newFile();
    recorded.exportChromeTrace(file);
    const { spans, problems } = readChromeTrace(file);
    expect(problems).toEqual([]);
    expect(spans.find(({ name }) => name === "aten::masked_fill")?.args).toMatchObject({
      "Input Dims": [[2, 3], [3], []],
    });
  });

  test("is compressed where the name ends in .gz, and replaces a file", () => {
    const file = newFile(".json.gz");
    writeFileSync(file, "old");
    profile({}, work).exportChromeTrace(file);
    expect(readFileSync(file).subarray(0, 2)).toEqual(Buffer.from([0x1f, 0x8b]));
    expect(readChromeTrace(file)).toMatchObject({ traceName: path.basename(file), problems: [] });
  });

  test("says what it is for files whose names are no JSON", () => {
    const strange = path.join(folder, 'a "b" ü');
    mkdirSync(strange);
    const file = path.join(strange, 'trace "1".json');
    profile({}, work).exportChromeTrace(file);
    expect(readChromeTrace(file)).toMatchObject({ traceName: 'trace "1".json', problems: [] });
  });

  test("ends when its function throws, whose error is the one that comes out", () => {
    expect(() =>
      profile({}, () => {
        throw new RangeError("of the function");
      }),
    ).toThrow(new RangeError("of the function"));
    expect(names(profile({}, work))).toContain("aten::linear");
  });

  test("is stopped by `using`", () => {
    {
      using recorded = new torch.profiler.Profile();
      recorded.start();
    }
    expect(() => profile({}, work)).not.toThrow();
  });
});

describe("recordFunction", () => {
  test("returns what its function returns, recorded or not, and nests", () => {
    expect(recordFunction("idle", () => 5)).toBe(5);
    let got: unknown;
    const recorded = profile({}, () => {
      got = recordFunction("outer", () => recordFunction("inner", () => 7));
    });
    expect(got).toBe(7);
    expect(
      recorded.events().map(({ name, isUserAnnotation }) => ({ name, isUserAnnotation })),
    ).toEqual([
      { name: "outer", isUserAnnotation: true },
      { name: "inner", isUserAnnotation: true },
    ]);
  });

  test("ends its range when its function throws", () => {
    const recorded = profile({}, () => {
      expect(() =>
        recordFunction("failing", () => {
          throw new Error("no");
        }),
      ).toThrow("no");
      recordFunction("next", () => undefined);
    });
    const [failing, next] = recorded.events() as [ProfilerEvent, ProfilerEvent];
    expect(next.start).toBeGreaterThanOrEqual(failing.start + failing.duration);
  });

  test.each([
    ['a "quoted" \\ name', "a 'quoted' / name"],
    ["ü\n🌊\u0000", "????"],
    ["", ""],
    ["x".repeat(5000), "x".repeat(5000)],
  ])("keeps the trace valid with the name %j", (name, expected) => {
    const recorded = profile({}, () => recordFunction(name, () => undefined));
    const file = newFile();
    recorded.exportChromeTrace(file);
    const { spans, problems } = readChromeTrace(file);
    expect(problems).toEqual([]);
    expect(spans.filter(({ cat }) => cat === "user_annotation").map((span) => span.name)).toEqual([
      expected,
    ]);
  });

  test("around a profile's end: the range ends with the profile, and a later one is another's", () => {
    const first = new torch.profiler.Profile();
    const second = new torch.profiler.Profile();
    first.start();
    recordFunction("around the end", () => {
      first.stop();
      second.start();
      torch.tidy(() => torch.ones([1]));
    });
    recordFunction("of the second", () => undefined);
    second.stop();
    expect(names(first)).toEqual(["around the end"]);
    expect(names(second)).toContain("of the second");
    expect(names(second)).not.toContain("around the end");
  });
});

describe("misuse", () => {
  const stopped = profile({}, work);
  afterEach(() => expect(names(profile({}, work))).toContain("forward"));

  test("a profile in a profile", () => {
    const outer = profile({}, () => {
      expect(codeOf(() => profile({}, work))).toBe("ERR_WAVEGPT_PROFILER");
      expect(() => profile({}, work)).toThrow(/being recorded on this thread already/);
      work();
    });
    expect(names(outer)).toContain("aten::linear");
  });

  test("methods out of order name the profile's state", () => {
    const recorded = new torch.profiler.Profile();
    expect(() => recorded.stop()).toThrow(/stop: this profile is not being recorded: it is new/);
    expect(() => recorded.events()).toThrow(/events: stop the profile first: it is new/);
    recorded.start();
    expect(() => recorded.keyAverages()).toThrow(/stop the profile first: it is recording/);
    expect(() => recorded.start()).toThrow(/being recorded on this thread already/);
    recorded.stop();
    expect(codeOf(() => recorded.stop())).toBe("ERR_WAVEGPT_PROFILER");
    expect(() => recorded.start()).toThrow(/was recorded already/);
  });

  test("functions that return promises", async () => {
    expect(codeOf(() => profile({}, async () => undefined))).toBe("ERR_WAVEGPT_SCOPE");
    expect(codeOf(() => recordFunction("later", async () => undefined))).toBe("ERR_WAVEGPT_SCOPE");
  });

  test("activities that are none, or not here", () => {
    const start = (activities: unknown) => () => profile({ activities } as never, work);
    expect(start([])).toThrow(/'activities' expected "cpu", "cuda" or both, got Array\(0\)/);
    expect(start(["gpu"])).toThrow(/'activities' expected "cpu" or "cuda", got string "gpu"/);
    expect(start("cpu")).toThrow(/'activities' expected "cpu", "cuda" or both, got string "cpu"/);
    if (!torch.cuda.isAvailable()) {
      expect(start(["cuda"])).toThrow(
        /'activities' expected "cpu" alone, as there is no CUDA device/,
      );
    }
  });

  test("paths that cannot be written leave nothing behind, and the trace is still there", () => {
    const missing = path.join(folder, "missing", "trace.json");
    expect(codeOf(() => stopped.exportChromeTrace(missing))).toBe("ENOENT");
    expect(codeOf(() => stopped.exportChromeTrace(""))).toBe("ERR_WAVEGPT_ARGUMENT");
    expect(codeOf(() => stopped.exportChromeTrace(3 as never))).toBe("ERR_WAVEGPT_ARGUMENT");
    expect(existsSync(missing)).toBe(false);
    if (process.platform !== "win32") {
      expect(() => stopped.exportChromeTrace("a\\b.json")).toThrow(
        /without backslashes, got string/,
      );
    }
    const file = newFile();
    stopped.exportChromeTrace(file);
    expect(readChromeTrace(file).problems).toEqual([]);
    expect(() => stopped.exportChromeTrace(file)).toThrow(/written already/);
    expect(readChromeTrace(file).problems).toEqual([]);
    expect(readdirSync(folder).filter((name) => name.includes("tmp"))).toEqual([]);
  });

  test("a folder in the file's place", () => {
    const taken = newFile();
    mkdirSync(taken);
    expect(codeOf(() => profile({}, work).exportChromeTrace(taken))).toMatch(
      /^(EISDIR|EPERM|ENOTEMPTY)$/,
    );
    expect(readdirSync(folder).filter((name) => name.includes("tmp"))).toEqual([]);
  });

  test("the binding's functions", () => {
    expect(codeOf(() => binding.stopProfiler())).toBe("ERR_WAVEGPT_PROFILER");
    for (const wrong of [null, undefined, 1, "x", {}, []] as never[]) {
      expect(codeOf(() => binding.profilerEvents(wrong))).toBe("ERR_WAVEGPT_ARGUMENT");
      expect(codeOf(() => binding.saveProfilerTrace(wrong, newFile()))).toBe(
        "ERR_WAVEGPT_ARGUMENT",
      );
    }
    expect(codeOf(() => binding.startProfiler(false, false, false))).toBe("ERR_WAVEGPT_ARGUMENT");
    expect(codeOf(() => binding.startProfiler(true, "no" as never, false))).toBe(
      "ERR_WAVEGPT_ARGUMENT",
    );
    binding.endProfilerRange(12345);
    profile({}, () => {
      const outer = binding.beginProfilerRange("outer");
      const inner = binding.beginProfilerRange("inner");
      expect(codeOf(() => binding.endProfilerRange(outer))).toBe("ERR_WAVEGPT_SCOPE");
      binding.endProfilerRange(inner);
      binding.endProfilerRange(inner);
      binding.endProfilerRange(outer);
    });
  });
});

describe("keyAverages", () => {
  const event = (
    name: string,
    start: number,
    duration: number,
    more: Partial<ProfilerEvent> = {},
  ): ProfilerEvent => ({
    ...{ name, start, duration, thread: 1, deviceType: "cpu", isUserAnnotation: false },
    ...{ isAsync: false, correlation: 0, linkedCorrelation: 0, ...more },
  });
  const rowsOf = (events: readonly ProfilerEvent[]) =>
    Object.fromEntries([...keyAverages(events)].map(({ name, ...row }) => [name, row]));

  test("takes what ran inside out of an operator's own time, on its thread", () => {
    const rows = rowsOf([
      event("outer", 0, 100),
      event("inner", 10, 30),
      event("innermost", 15, 5),
      event("inner", 50, 20),
      event("outer", 100, 10),
      event("inner", 20, 40, { thread: 2 }),
    ]);
    expect(rows).toMatchObject({
      outer: { count: 2, cpuTimeTotal: 110, selfCpuTimeTotal: 60 },
      inner: { count: 3, cpuTimeTotal: 90, selfCpuTimeTotal: 85 },
      innermost: { count: 1, cpuTimeTotal: 5, selfCpuTimeTotal: 5 },
    });
  });

  test("gives a GPU's kernels to the operators that launched them", () => {
    const kernel = (name: string, duration: number, linkedCorrelation: number) =>
      event(name, 500, duration, { deviceType: "cuda", linkedCorrelation });
    const rows = rowsOf([
      event("linear", 0, 100, { correlation: 1 }),
      event("addmm", 10, 50, { correlation: 2 }),
      kernel("gemm", 40, 2),
      kernel("bias", 2, 1),
      kernel("nobody's", 3, 0),
      event("step", 500, 60, { deviceType: "cuda", isUserAnnotation: true }),
    ]);
    expect(rows).toMatchObject({
      linear: { deviceTimeTotal: 42, selfDeviceTimeTotal: 2, selfCpuTimeTotal: 50 },
      addmm: { deviceTimeTotal: 40, selfDeviceTimeTotal: 40, cpuTimeTotal: 50 },
      "nobody's": { deviceTimeTotal: 3, cpuTimeTotal: 0 },
    });
    expect(Object.keys(rows)).not.toContain("step");
    expect(
      keyAverages([event("linear", 0, 1, { correlation: 1 }), kernel("gemm", 4, 1)]).table(),
    ).toMatch(/Self device.*\n.*linear.*4\.000us/);
  });

  test("of a real profile add up to no more than it took, and count the calls", () => {
    const begun = performance.now();
    const recorded = profile({}, () => {
      for (let step = 1; step <= 3; step++) recordFunction(`ProfilerStep#${step}`, work);
    });
    const microseconds = (performance.now() - begun) * 1000;
    const rows = [...recorded.keyAverages()];
    const self = rows.reduce((sum, row) => sum + row.selfCpuTimeTotal, 0);
    expect(self).toBeGreaterThan(0);
    expect(self).toBeLessThan(microseconds);
    for (const row of rows) expect(row.selfCpuTimeTotal, row.name).toBeGreaterThanOrEqual(0);
    const steps = rows.find(({ name }) => name === "ProfilerStep*")!;
    expect(steps).toMatchObject({ count: 3, isUserAnnotation: true });
    expect(steps.cpuTimeTotal).toBeCloseTo(self, 0);
    const table = recorded.keyAverages().table({ sortBy: "count", rowLimit: 4 }).split("\n");
    expect(table[0]).toMatch(/^Name +Self CPU % +Self CPU +CPU total +CPU time avg +# of Calls$/);
    expect(table).toHaveLength(5);
    expect(new Set(table.map((line) => line.length)).size).toBe(1);
  });
});
