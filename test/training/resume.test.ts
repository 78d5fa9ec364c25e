// @module-tag gpu

import { cpSync, existsSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { listCheckpoints } from "../../src/run/checkpoints.js";
import { type TrainEvent, train } from "../../src/train.js";
import { smallTextFile, temporaryFolder } from "../cli/command.js";
import { fingerprint, tinySettings } from "./tiny-run.js";

let data: string;
let whole: string;
let expected: Record<string, unknown>;

beforeAll(async () => {
  data = smallTextFile();
  whole = join(temporaryFolder(), "whole");
  await train(tinySettings(data), { out: whole });
  expected = fingerprint(whole);
});

/** Trains until an event that matches, then interrupts. */
async function interruptAt(out: string, matches: (event: TrainEvent) => boolean, resume = false) {
  const controller = new AbortController();
  const result = await train(resume ? {} : tinySettings(data), {
    out,
    resume,
    signal: controller.signal,
    onEvent: (event) => {
      if (matches(event)) controller.abort();
    },
  });
  expect(result.finished).toBe(false);
  return result;
}

const atStep = (step: number) => (event: TrainEvent) =>
  event.type === "step" && event.step === step;

describe("an interrupted run that is resumed is the uninterrupted one, bit for bit", () => {
  it.each([
    ["at once", (event: TrainEvent) => event.type === "start", 0],
    ["between two log lines and two checkpoints", atStep(13), 13],
    [
      "in the middle of an evaluation",
      (event: TrainEvent) => event.type === "evaluating" && event.step === 16,
      16,
    ],
    ["before a sample", (event: TrainEvent) => event.type === "val" && event.record.step === 8, 8],
  ])("interrupted %s", async (_, matches, step) => {
    const out = join(temporaryFolder(), "run");
    expect((await interruptAt(out, matches)).step).toBe(step);
    const events: TrainEvent[] = [];
    const result = await train({}, { out, resume: true, onEvent: (event) => events.push(event) });
    expect(result).toMatchObject({ finished: true, step: 24 });
    expect(events[0]).toMatchObject({ type: "start", step, resumed: true });
    expect(fingerprint(out)).toEqual(expected);
  });

  it("interrupted three times", async () => {
    const out = join(temporaryFolder(), "run");
    await interruptAt(out, atStep(3));
    await interruptAt(out, atStep(4), true);
    await interruptAt(out, atStep(20), true);
    await train({}, { out, resume: true });
    expect(fingerprint(out)).toEqual(expected);
  });

  it("interrupted in an evaluation and killed after it, before the next checkpoint", async () => {
    const out = join(temporaryFolder(), "run");
    await interruptAt(out, (event) => event.type === "evaluating" && event.step === 16);
    const killed = train(
      {},
      {
        out,
        resume: true,
        onEvent: (event) => {
          if (atStep(18)(event)) throw new Error("killed");
        },
      },
    );
    await expect(killed).rejects.toThrow("killed");
    await train({}, { out, resume: true });
    expect(fingerprint(out)).toEqual(expected);
  });

  it("with other random numbers drawn by the process in between", async () => {
    const out = join(temporaryFolder(), "run");
    await interruptAt(out, atStep(7));
    await train(tinySettings(data, { steps: 3, seed: 99 }), {
      out: join(temporaryFolder(), "other"),
    });
    await train({}, { out, resume: true });
    expect(fingerprint(out)).toEqual(expected);
  });
});

describe("what a crash leaves behind", () => {
  function crashed(): string {
    const out = join(temporaryFolder(), "run");
    cpSync(whole, out, { recursive: true });
    return out;
  }

  it("a half-written checkpoint is left out, with a notice, and lines after the one before are dropped", async () => {
    const out = crashed();
    truncateSync(join(out, "checkpoints/step-00000024/optimizer.safetensors"), 100);
    writeFileSync(
      join(out, "metrics.jsonl"),
      `${readFileSync(join(out, "metrics.jsonl"), "utf8")}{"step":24,"spl`,
    );
    mkdirSync(join(out, "checkpoints/.step-00000030.4711.tmp"));
    const events: TrainEvent[] = [];
    await train({}, { out, resume: true, onEvent: (event) => events.push(event) });
    expect(events.find((event) => event.type === "start")).toMatchObject({ step: 20 });
    expect(events.find((event) => event.type === "notice")).toMatchObject({
      message: expect.stringMatching(/Damaged checkpoints were left out: .*step-00000024/),
    });
    expect(existsSync(join(out, "checkpoints/.step-00000030.4711.tmp"))).toBe(false);
    expect(fingerprint(out)).toEqual(expected);
  });

  it("a run without a checkpoint begins anew", async () => {
    const out = crashed();
    for (const { path } of listCheckpoints(join(out, "checkpoints"))) {
      truncateSync(join(path, "state.json"), 10);
    }
    const events: TrainEvent[] = [];
    await train({}, { out, resume: true, onEvent: (event) => events.push(event) });
    expect(events.find((event) => event.type === "start")).toMatchObject({
      step: 0,
      resumed: false,
    });
    expect(fingerprint(out)).toEqual(expected);
  });
});

it("a finished run has nothing left to do, and changes nothing", async () => {
  const out = join(temporaryFolder(), "run");
  cpSync(whole, out, { recursive: true });
  const result = await train({}, { out, resume: true });
  expect(result).toMatchObject({ finished: true, step: 24 });
  expect(fingerprint(out)).toEqual(expected);
});

it("a run goes on for more steps as if it had been that long from the beginning", async () => {
  const settings = tinySettings(data, { schedule: "constant", warmupSteps: 0, logEvery: 4 });
  const out = join(temporaryFolder(), "run");
  await train({ ...settings, steps: 16 }, { out });
  await train({ steps: 24 }, { out, resume: true });
  const longer = join(temporaryFolder(), "longer");
  await train(settings, { out: longer });
  expect(fingerprint(out)).toEqual(fingerprint(longer));
});

it("another text is refused", async () => {
  const out = join(temporaryFolder(), "run");
  cpSync(whole, out, { recursive: true });
  const other = join(temporaryFolder(), "other.txt");
  writeFileSync(other, `${readFileSync(data, "utf8")}!`);
  await expect(train({ data: other }, { out, resume: true })).rejects.toMatchObject({
    code: "ERR_WAVEGPT_USAGE",
    message: expect.stringMatching(/has other content/),
  });
  expect(fingerprint(out)).toEqual(expected);
});

it("checkpoints: every so many steps and the last, of which the newest are kept", () => {
  expect(listCheckpoints(join(whole, "checkpoints")).map(({ step }) => step)).toEqual([20, 24]);
});
