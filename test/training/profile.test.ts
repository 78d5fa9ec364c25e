// @module-tag gpu

import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { torch } from "../../lib/index.js";
import type { SettingsInput } from "../../src/config/settings.js";
import { type TrainEvent, type TrainOptions, train } from "../../src/train.js";
import type { Plan } from "../../src/training/plan.js";
import { profiledSteps, StepProfiler } from "../../src/training/step-profiler.js";
import { smallTextFile, temporaryFolder } from "../cli/command.js";
import { inside, readChromeTrace } from "../lib/chrome-trace.js";
import { fingerprint, tinySettings } from "./tiny-run.js";

const data = smallTextFile();
const newFolder = () => join(temporaryFolder(), "run");

const plan = (steps: number, evalEvery: number, checkpointEvery: number): Plan => ({
  ...{ steps, evalEvery, checkpointEvery, stepsPerEpoch: steps },
  ...{ warmupSteps: 0, milestones: [], stepSize: 1, decaySteps: 1 },
});

describe("the steps that are profiled", () => {
  it.each<[string, Plan, number, [number, number] | null]>([
    ["three after five", plan(4360, 436, 500), 0, [6, 8]],
    ["three after five of this process", plan(4360, 436, 500), 1000, [1006, 1008]],
    ["after an evaluation among them", plan(100, 7, 0), 0, [8, 10]],
    ["after a checkpoint among them", plan(100, 100, 6), 0, [7, 9]],
    ["before, where the run is too short for later", plan(8, 7, 0), 0, [5, 7]],
    ["the last, in a run that is shorter", plan(6, 100, 0), 0, [4, 6]],
    ["all of a run of two", plan(2, 100, 0), 0, [1, 2]],
    ["two where evaluations leave no three", plan(100, 2, 0), 0, [7, 8]],
    ["one where every step is evaluated", plan(100, 1, 0), 0, [6, 6]],
    ["two where evaluations and checkpoints take turns", plan(100, 3, 2), 0, [7, 8]],
    ["the last one", plan(1, 1, 1), 0, [1, 1]],
    ["none at the end", plan(10, 5, 5), 10, null],
    ["none beyond the end", plan(10, 5, 5), 12, null],
  ])("%s", (_, run, from, expected) => {
    const steps = profiledSteps(run, from);
    expect(steps && [steps.first, steps.last]).toEqual(expected);
  });
});

async function profiled(
  settings: SettingsInput,
  options: TrainOptions,
): Promise<{ events: TrainEvent[]; notices: string[] }> {
  const events: TrainEvent[] = [];
  const { onEvent } = options;
  await train(tinySettings(data, settings), {
    ...options,
    onEvent: (event) => {
      events.push(event);
      onEvent?.(event);
    },
  });
  return {
    events,
    notices: events.flatMap((event) => (event.type === "notice" ? [event.message] : [])),
  };
}

const profilesOf = (events: readonly TrainEvent[]) =>
  events.flatMap((event) => (event.type === "profile" ? [event] : []));

describe("a profiled run", () => {
  it("writes a trace of three steps with their phases, and is bit for bit the run that it would be", async () => {
    const out = newFolder();
    const plain = newFolder();
    const { events } = await profiled({ evalEvery: 12 }, { out, profile: true });
    await profiled({ evalEvery: 12 }, { out: plain });

    const path = join(out, "profile.json");
    const [event, ...more] = profilesOf(events);
    expect(more).toEqual([]);
    expect(event).toMatchObject({ path, firstStep: 6, lastStep: 8 });
    expect(event!.operators).toHaveLength(10);
    const own = event!.operators.map(({ selfCpuTimeTotal }) => selfCpuTimeTotal);
    expect(own).toEqual([...own].sort((a, b) => b - a));
    expect(own.reduce((sum, time) => sum + time)).toBeLessThanOrEqual(event!.microseconds);

    const { spans, problems } = readChromeTrace(path);
    expect(problems).toEqual([]);
    const named = (pattern: RegExp) => spans.filter(({ name }) => pattern.test(name));
    const steps = named(/^ProfilerStep#/);
    expect(steps.map(({ name }) => name)).toEqual([6, 7, 8].map((step) => `ProfilerStep#${step}`));
    for (const step of steps) {
      const phases = spans
        .filter((span) => span.cat === "user_annotation" && span !== step && inside(span, step))
        .sort((a, b) => a.ts - b.ts);
      // The batch is computed in two parts.
      expect(phases.map(({ name }) => name)).toEqual([
        ...["data", "forward", "backward", "forward", "backward", "optimizer"],
      ]);
      for (const [i, phase] of phases.slice(1).entries()) {
        expect(phase.ts).toBeGreaterThanOrEqual(phases[i]!.ts + phases[i]!.dur);
      }
    }
    // Nothing is recorded that belongs to no step, and every phase has operators, but for data: most batches are made
    // already.
    const operators = named(/^aten::/);
    expect(operators.length).toBeGreaterThan(100);
    for (const span of operators) expect(steps.some((step) => inside(span, step))).toBe(true);
    for (const phase of named(/^(forward|backward|optimizer)$/)) {
      expect(
        spans.some((span) => span !== phase && inside(span, phase)),
        phase.name,
      ).toBe(true);
    }

    const files = readdirSync(out).sort();
    expect(files.filter((name) => name !== "profile.json")).toEqual(readdirSync(plain).sort());
    const { files: _, ...expected } = fingerprint(plain);
    expect(fingerprint(out)).toMatchObject(expected);
  });

  it("that is interrupted meanwhile writes the steps that it has, saves and can go on", async () => {
    const out = newFolder();
    const path = join(temporaryFolder(), "trace.json.gz");
    const stop = new AbortController();
    const { events, notices } = await profiled(
      {},
      {
        ...{ out, profile: path, signal: stop.signal },
        onEvent: (event) => {
          if (event.type === "step" && event.step === 7) stop.abort();
        },
      },
    );
    expect(profilesOf(events)).toMatchObject([{ path, firstStep: 6, lastStep: 7 }]);
    expect(notices).toEqual([]);
    const { spans, problems } = readChromeTrace(path);
    expect(problems).toEqual([]);
    const steps = spans.filter(({ name }) => name.startsWith("ProfilerStep#"));
    expect(steps.map(({ name }) => name)).toEqual(["ProfilerStep#6", "ProfilerStep#7"]);
    const types = events.map(({ type }) => type);
    expect(types.indexOf("checkpoint")).toBeGreaterThan(types.indexOf("profile"));

    // Resumed, it is profiled after five steps of its own, and not unless it is asked to.
    const again = await profiled({}, { out, resume: true, profile: true });
    expect(profilesOf(again.events)).toMatchObject([
      { path: join(out, "profile.json"), firstStep: 13, lastStep: 15 },
    ]);
    const plain = newFolder();
    await profiled({}, { out: plain });
    const { files: _, ...expected } = fingerprint(plain);
    expect(fingerprint(out)).toMatchObject(expected);
    const end = await profiled({}, { out, resume: true, profile: true });
    expect(end.notices).toEqual(["The run has no step left to profile."]);
  });

  it("that is interrupted before says that there is no profile, before its end", async () => {
    const out = newFolder();
    const stop = new AbortController();
    const { events, notices } = await profiled(
      {},
      {
        ...{ out, profile: true, signal: stop.signal },
        onEvent: (event) => {
          if (event.type === "step" && event.step === 2) stop.abort();
        },
      },
    );
    expect(notices).toEqual([
      "No profile was written: the run ended before steps 6 to 8 were done.",
    ]);
    expect(existsSync(join(out, "profile.json"))).toBe(false);
    expect(events.at(-1)).toMatchObject({ type: "end", result: { finished: false, step: 2 } });
  });

  it("that fails meanwhile gives the profiler free and says that there is no profile", async () => {
    const failing = newFolder();
    const notices: string[] = [];
    const run = train(tinySettings(data), {
      ...{ out: failing, profile: true },
      onEvent: (event) => {
        if (event.type === "notice") notices.push(event.message);
        if (event.type === "step" && event.step === 7) throw new Error("of the listener");
      },
    });
    await expect(run).rejects.toThrow("of the listener");
    expect(notices).toEqual([
      "No profile was written: the run ended before steps 6 to 8 were done.",
    ]);
    expect(() => torch.profiler.profile({}, () => undefined)).not.toThrow();
  });

  it("goes on where the trace cannot be written, or another profile is recorded", async () => {
    const out = newFolder();
    const folder = join(temporaryFolder(), "gone");
    mkdirSync(folder);
    const path = join(folder, "trace.json");
    const { events, notices } = await profiled(
      {},
      {
        ...{ out, profile: path },
        onEvent: (event) => {
          // A folder appears in the file's place after the path was checked.
          if (event.type === "start") mkdirSync(path);
        },
      },
    );
    expect(notices).toEqual([
      expect.stringMatching(/^No profile was written\. Cannot write .*trace\.json: .*E[A-Z]+/),
    ]);
    expect(events.at(-1)).toMatchObject({ type: "end", result: { finished: true } });
    expect(readdirSync(folder)).toEqual(["trace.json"]);

    using other = new torch.profiler.Profile();
    other.start();
    const beside = await profiled({}, { out: newFolder(), profile: true });
    expect(beside.notices).toEqual([
      expect.stringMatching(/^No profile is recorded: .*a profile is being recorded/),
    ]);
    expect(beside.events.at(-1)).toMatchObject({ type: "end", result: { finished: true } });
  });

  it.each([
    ["trace.txt", /--profile: expected a file whose name ends in \.json or \.json\.gz, got "/],
    ["missing/trace.json", /--profile: cannot write into .*missing \(ENOENT\)/],
    ["folder.json", /--profile: expected a file, but .* is a folder/],
    ["run/config.json", /--profile: .*config\.json is another of the run's files/],
  ])("refuses the file %s before anything is written", async (name, message) => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, "folder.json"));
    const out = join(folder, "run");
    const run = train(tinySettings(data), { out, profile: join(folder, name) });
    await expect(run).rejects.toThrow(message);
    await expect(run).rejects.toMatchObject({ code: "ERR_WAVEGPT_USAGE" });
    expect(readdirSync(folder)).toEqual(["folder.json"]);
  });

  it("replaces the profile of the run that --overwrite replaces", async () => {
    const out = newFolder();
    await profiled({ steps: 2 }, { out, profile: true });
    expect(existsSync(join(out, "profile.json"))).toBe(true);
    await profiled({ steps: 2 }, { out, overwrite: true });
    expect(existsSync(join(out, "profile.json"))).toBe(false);
    writeFileSync(join(out, "profile.json"), "old");
    await profiled({ steps: 3 }, { out, resume: true, profile: true });
    expect(readChromeTrace(join(out, "profile.json")).problems).toEqual([]);
  });
});

describe("a step profiler without a file", () => {
  it("records nothing", () => {
    const told: TrainEvent[] = [];
    using profiler = new StepProfiler(null, plan(3, 3, 0), 0, (event) => told.push(event));
    for (let step = 1; step <= 3; step++) {
      profiler.begin(step);
      // Where one were being recorded, another could not be.
      torch.profiler.profile({}, () => undefined);
      profiler.end(step, false);
    }
    expect(told).toEqual([]);
  });
});
