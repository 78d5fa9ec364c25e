import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import type { StudyResults } from "../../src/study/results.js";
import { fingerprint } from "../training/tiny-run.js";
import { run, smallTextFile, start, TINY, temporaryFolder } from "./command.js";

const data = smallTextFile();
const out = join(temporaryFolder(), "study");
const ARMS = ["gpt", "gpt-parameters", "gpt-flops", "gpt-long", "causal"];
const flags = [
  ...["compare", "--study", "context", "--data", data, ...TINY, "--wavenet-layers", "2"],
  ...["--steps", "60", "--eval-every", "20", "--checkpoint-every", "25", "--dropout", "0.1"],
];
/** Long enough to be met in the middle of a run. */
const THREE = ["previous", "causal", "causal-zeroed"];
const LONGER = ["--steps", "400", "--eval-every", "100"];
let printed: string;

const resultsOf = (folder: string) =>
  JSON.parse(readFileSync(join(folder, "results.json"), "utf8")) as StudyResults;

beforeAll(async () => {
  const { status, stdout, stderr } = await run([
    ...[...flags, "--arms", ARMS.join(), "--seeds", "1,2", "--parallel", "2", "--time", "3"],
    ...["--out", out],
  ]);
  expect(stderr).toBe("");
  expect(status).toBe(0);
  printed = stdout;
});

describe("wavegpt compare --study", () => {
  it("trains every model with every seed, and prints a table with intervals", () => {
    for (const title of ["GPT", "GPT, twice the block", "WaveGPT, causal"]) {
      expect(printed).toMatch(
        new RegExp(`^${title} +1 × 16 +[\\d,]+ +[\\d.]+k +2 +\\d\\.\\d{4} ± \\d\\.\\d{4}`, "m"),
      );
    }
    expect(printed).toMatch(/^WaveGPT, causal: \d\.\d{4} ± \d\.\d{4} nats (below|above) GPT of/m);
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

  it("compares the subject with the better of the matched GPTs, seed by seed", () => {
    const { arms, verdict } = resultsOf(out);
    const named = (id: string) => arms.find((arm) => arm.id === id)!;
    const rivals = [named("gpt-parameters"), named("gpt-flops")];
    const better = rivals.reduce((a, b) => (b.loss!.mean < a.loss!.mean ? b : a));
    expect(verdict!.rival).toBe(better.title);
    const differences = named("causal").runs.map(({ loss }, i) => loss - better.runs[i]!.loss);
    expect(verdict!.difference.mean).toBeCloseTo((differences[0]! + differences[1]!) / 2, 12);
    for (const { match } of rivals) expect(Math.abs(match!.deviation)).toBeLessThan(0.1);
    expect(named("gpt-parameters").parameters / named("causal").parameters - 1).toBeCloseTo(
      rivals[0]!.match!.deviation,
      12,
    );
  });

  it("writes a report with every model's curve", () => {
    const html = readFileSync(join(out, "report.html"), "utf8");
    expect(html).toContain("Context beyond the window: text.txt");
    for (const { title } of resultsOf(out).arms) {
      expect(html).toContain(title.replace("'", "&#39;"));
    }
  });

  it("says what it will take, and times all models in turns", () => {
    expect(printed).toMatch(/^10 runs: about \d+ s$/m);
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
    const own = [
      ...["model", "wavenet", "wavenetNoise", "order"],
      ...["blockSize", "batchSize", "nLayers", "nEmbd"],
    ];
    const shared = settings.map((all) =>
      Object.fromEntries(Object.entries(all).filter(([name]) => !own.includes(name))),
    );
    for (const one of shared) expect(one).toEqual(shared[0]);
    expect(settings.map(({ blockSize, batchSize }) => [blockSize, batchSize])).toEqual(
      ARMS.map((id) => (id === "gpt-long" ? [32, 2] : [16, 4])),
    );
  });

  it("killed in the middle of a run, goes on with it and keeps the finished ones", async () => {
    const folder = join(temporaryFolder(), "study");
    const three = [...flags, "--arms", THREE.join(), "--seeds", "1", ...LONGER];
    const running = start([...three, "--out", folder]);
    await running.until(/^previous, seed 1: done[\s\S]*^causal, seed 1 +step +100 /m);
    running.child.kill("SIGKILL");
    // Its workers end too, before all that could write to its output are gone.
    expect(await running.finished).toMatchObject({ signal: "SIGKILL", stderr: "" });
    const kept = join(folder, "previous-seed-1/metrics.jsonl");
    const written = statSync(kept).mtimeMs;
    expect(existsSync(join(folder, "results.json"))).toBe(false);

    const resumed = await run(["compare", "--resume", folder]);
    expect(resumed).toMatchObject({ status: 0, stderr: "" });
    expect(resumed.stdout).toMatch(/^3 runs, 1 of them finished before: about /m);
    expect(resumed.stdout).not.toMatch(/^previous, seed 1: done/m);
    expect(statSync(kept).mtimeMs).toBe(written);

    const whole = join(temporaryFolder(), "study");
    await run([...three, "--out", whole]);
    for (const id of THREE) {
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
    expect(lines.find(({ event }) => event === "study")).toMatchObject({ runs: 15, kept: 10 });
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
    [
      ["--resume", out, "--clip", "1"],
      /a study cannot go on with another --clip \(it has 0, got 1\)/,
    ],
    [["--resume", out, "--study", "nanogpt"], /holds the study context/],
    [["--study", "context", "--out", out], /holds a comparison already/],
  ])("refuses %j", async (args, message) => {
    const { status, stderr } = await run(["compare", ...args]);
    expect(stderr).toMatch(message);
    expect(status).toBe(2);
  });
});

describe("wavegpt compare --study nanogpt", () => {
  it("overwrites all of a study, though it is killed before it has come to a run", async () => {
    const folder = join(temporaryFolder(), "study");
    const nanogpt = ["compare", "--study", "nanogpt", "--arms", "nanogpt,gpt", "--data", data];
    const tiny = [...nanogpt, ...TINY, "--seeds", "1", "--out", folder];
    expect((await run([...tiny, "--steps", "20"])).status).toBe(0);
    const running = start([...tiny, "--steps", "20", "--clip", "0.5", "--overwrite"]);
    await running.until(/^2 runs: about /m);
    running.child.kill("SIGKILL");
    await running.finished;
    const { status, stdout } = await run(["compare", "--resume", folder]);
    expect(status).toBe(0);
    expect(stdout).not.toMatch(/finished before/);
    const config = JSON.parse(readFileSync(join(folder, "gpt-seed-1/config.json"), "utf8"));
    expect(config.settings.clip).toBe(0.5);
  });

  it("has nanoGPT's own model, and the loss that its README gives", async () => {
    const folder = join(temporaryFolder(), "study");
    const { status, stdout } = await run([
      ...["compare", "--study", "nanogpt", "--data", data, ...TINY, "--wavenet-layers", "3"],
      ...["--steps", "20", "--seeds", "1", "--parallel", "2", "--out", folder],
    ]);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^nanoGPT's README .* 1\.88 /m);
    const configs = ["nanogpt", "gpt", "causal"].map(
      (id) => JSON.parse(readFileSync(join(folder, `${id}-seed-1/config.json`), "utf8")).settings,
    );
    expect(configs.map(({ model, order }) => [model, order])).toEqual([
      ["nanogpt", "random"],
      ["gpt", "random"],
      ["wavegpt", "running"],
    ]);
    for (const settings of configs) {
      expect(settings).toMatchObject({ trainFraction: 0.9, dropout: 0, weightDecayOf: "matrices" });
    }
  });
});

describe("wavegpt compare --study probes", () => {
  it("killed, keeps the finished probes, and comes to the same", async () => {
    const tiny = [
      ...["compare", "--study", "probes", "--arms", "gpt", "--seeds", "1", "--steps", "6"],
      ...["--n-embd", "8", "--n-layers", "1", "--threads", "1", "--eval-batches", "100"],
    ];
    const [folder, whole] = [temporaryFolder(), temporaryFolder()].map((path) =>
      join(path, "study"),
    ) as [string, string];
    const running = start([...tiny, "--out", folder]);
    await running.until(/^needle, gpt, seed 1: within /m);
    running.child.kill("SIGKILL");
    await running.finished;
    const resumed = await run(["compare", "--resume", folder]);
    expect(resumed).toMatchObject({ status: 0, stderr: "" });
    expect(resumed.stdout).toMatch(/^3 runs, 1 of them finished before$/m);
    expect(resumed.stdout).toMatch(/^Needle: GPT +\d+ % +\d+ %/m);

    await run([...tiny, "--parallel", "2", "--out", whole]);
    const results = (path: string) => JSON.parse(readFileSync(join(path, "results.json"), "utf8"));
    expect(results(folder)).toEqual(results(whole));
    const { arms } = results(folder);
    expect(arms[0].tasks.map(({ name }: { name: string }) => name)).toEqual([
      "needle",
      "copy",
      "recall",
    ]);
  });
});
