import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import type { StudyResults } from "../../src/study/results.js";
import { fingerprint } from "../training/tiny-run.js";
import { run, smallTextFile, start, TINY, temporaryFolder } from "./command.js";

const data = smallTextFile();
const out = join(temporaryFolder(), "study");
const ARMS = ["gpt", "gpt-long", "previous"];
const flags = [
  ...["compare", "--study", "context", "--arms", ARMS.join(), "--data", data, ...TINY],
  ...["--steps", "60", "--eval-every", "20", "--checkpoint-every", "25", "--dropout", "0.1"],
];
/** Long enough to be met in the middle of a run. */
const LONGER = ["--steps", "400", "--eval-every", "100"];
let printed: string;

const resultsOf = (folder: string) =>
  JSON.parse(readFileSync(join(folder, "results.json"), "utf8")) as StudyResults;

beforeAll(async () => {
  const { status, stdout, stderr } = await run([
    ...[...flags, "--seeds", "1,2", "--parallel", "2", "--time", "3", "--out", out],
  ]);
  expect(stderr).toBe("");
  expect(status).toBe(0);
  printed = stdout;
});

describe("wavegpt compare --study", () => {
  it("trains every model with every seed, and prints a table with intervals", () => {
    for (const title of ["GPT", "GPT, twice the block", "WaveGPT, previous"]) {
      expect(printed).toMatch(
        new RegExp(`^${title} +1 × 16 +[\\d,]+ +[\\d.]+k +2 +\\d\\.\\d{4} ± \\d\\.\\d{4}`, "m"),
      );
    }
    const { arms, seeds, steps } = resultsOf(out);
    expect([seeds, steps]).toEqual([[1, 2], 60]);
    expect(arms.map(({ id, runs }) => [id, runs.map(({ seed }) => seed)])).toEqual(
      ARMS.map((id) => [id, [1, 2]]),
    );
    for (const { id, runs, loss, curves } of arms) {
      expect(loss!.mean).toBeCloseTo((runs[0]!.loss + runs[1]!.loss) / 2, 12);
      expect(curves.heldOut.x).toEqual([0, 20, 40, 60]);
      expect(curves.heldOut.mean.at(-1)).toBeCloseTo(loss!.mean, 12);
      for (const { seed, loss: own } of runs) {
        const lines = readFileSync(join(out, `${id}-seed-${seed}`, "metrics.jsonl"), "utf8");
        const last = JSON.parse(lines.trimEnd().split("\n").at(-1)!);
        expect(last).toMatchObject({ step: 60, split: "val", loss: own });
      }
    }
  });

  it("says what it will take, and times all models in turns", () => {
    expect(printed).toMatch(/^6 runs: about \d+ s$/m);
    expect(printed).toMatch(/Timing: round 3 of 3/);
    for (const { time } of resultsOf(out).arms) {
      expect(time!.rounds).toBe(3);
      expect(time!.median).toBeGreaterThanOrEqual(time!.lowerQuartile);
      expect(time!.tokensPerSecond).toBeCloseTo(64_000 / time!.median, 6);
    }
  });

  it("trains them alike but for what makes a model itself", () => {
    const settings = ARMS.map(
      (id) => JSON.parse(readFileSync(join(out, `${id}-seed-1`, "config.json"), "utf8")).settings,
    );
    const own = ["model", "wavenet", "order", "blockSize", "batchSize"];
    const shared = settings.map((all) =>
      Object.fromEntries(Object.entries(all).filter(([name]) => !own.includes(name))),
    );
    expect(shared[1]).toEqual(shared[0]);
    expect(shared[2]).toEqual(shared[0]);
    expect(settings.map(({ blockSize, batchSize }) => [blockSize, batchSize])).toEqual([
      [16, 4],
      [32, 2],
      [16, 4],
    ]);
  });

  it("killed in the middle of a run, goes on with it and keeps the finished ones", async () => {
    const folder = join(temporaryFolder(), "study");
    const running = start([...flags, "--seeds", "1", ...LONGER, "--out", folder]);
    await running.until(/^gpt, seed 1: done[\s\S]*^gpt-long, seed 1 +step +100 /m);
    running.child.kill("SIGKILL");
    const { signal } = await running.finished;
    expect(signal).toBe("SIGKILL");
    const kept = join(folder, "gpt-seed-1/metrics.jsonl");
    const written = statSync(kept).mtimeMs;
    expect(existsSync(join(folder, "results.json"))).toBe(false);

    const resumed = await run(["compare", "--resume", folder]);
    expect(resumed).toMatchObject({ status: 0, stderr: "" });
    expect(resumed.stdout).toMatch(/^3 runs, 1 of them finished before: about /m);
    expect(resumed.stdout).not.toMatch(/^gpt, seed 1: done/m);
    expect(statSync(kept).mtimeMs).toBe(written);

    const whole = join(temporaryFolder(), "study");
    await run([...flags, "--seeds", "1", ...LONGER, "--out", whole]);
    for (const id of ARMS) {
      const name = `${id}-seed-1`;
      expect(fingerprint(join(folder, name))).toEqual(fingerprint(join(whole, name)));
    }
  });

  it("interrupted, saves, says how to go on, and ends with 130", async () => {
    const folder = join(temporaryFolder(), "study");
    const running = start([...flags, "--seeds", "1", "--steps", "5000", "--out", folder]);
    await running.until(/^gpt, seed 1 +step +100 /m);
    running.child.kill("SIGINT");
    const { status, stdout } = await running.finished;
    expect(status).toBe(130);
    expect(stdout).toMatch(/^gpt, seed 1: interrupted after step \d+, and saved$/m);
    expect(stdout).toContain(`npx wavegpt compare --resume ${folder}`);
  });

  it("takes another seed later, and does not repeat what is done", async () => {
    const path = join(out, "gpt-seed-1/metrics.jsonl");
    const before = statSync(path).mtimeMs;
    const { status, stdout } = await run([
      "compare",
      "--resume",
      out,
      "--seeds",
      "1,2,3",
      "--json",
    ]);
    expect(status).toBe(0);
    expect(statSync(path).mtimeMs).toBe(before);
    const lines = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines.find(({ event }) => event === "study")).toMatchObject({ runs: 9, kept: 6 });
    expect(
      lines.filter(({ event }) => event === "end").map(({ arm, seed }) => [arm, seed]),
    ).toEqual(ARMS.map((id) => [id, 3]));
    expect(lines.at(-1)).toMatchObject({ event: "results", finished: true });
    expect(resultsOf(out).arms[0]!.loss!.count).toBe(3);
  });

  it.each([
    [["--study", "none"], /--study: expected one of context/],
    [["--study", "context", "--arms", "gpt,other"], /--arms: the study context has gpt, .*"other"/],
    [["--study", "context", "--order", "random"], /each arm sets --order itself/],
    [
      ["--study", "context", "--parallel", "0"],
      /--parallel: expected a whole number from 1, got "0"/,
    ],
    [["--study", "context", "--seeds", "1,1"], /--seeds: expected different whole numbers/],
    [["--time"], /--time: only a --study takes it/],
    [["--resume", out, "--n-embd", "32"], /another --n-embd \(the run has 16, got 32\)/],
    [["--resume", out, "--study", "nanogpt"], /holds the study context/],
    [["--study", "context", "--out", out], /holds a comparison already/],
  ])("refuses %j", async (args, message) => {
    const { status, stderr } = await run(["compare", ...args]);
    expect(stderr).toMatch(message);
    expect(status).toBe(2);
  });
});
