import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { readMetrics } from "../../src/run/metrics.js";
import { fingerprint } from "../training/tiny-run.js";
import { run, smallTextFile, start, TINY, temporaryFolder } from "./command.js";

const data = smallTextFile();
const out = join(temporaryFolder(), "comparison");
const flags = [
  "--data",
  data,
  ...TINY,
  "--steps",
  "60",
  "--eval-every",
  "20",
  "--checkpoint-every",
  "25",
];
const NAMES = ["gpt-seed-1", "wavegpt-seed-1", "gpt-seed-2", "wavegpt-seed-2"];
let printed: string;

beforeAll(async () => {
  const { status, stdout, stderr } = await run([
    "compare",
    ...flags,
    "--seeds",
    "1,2",
    "--out",
    out,
  ]);
  expect(stderr).toBe("");
  expect(status).toBe(0);
  printed = stdout;
});

describe("wavegpt compare", () => {
  it("trains both models with each seed and prints a table", () => {
    expect(readdirSync(out).sort()).toEqual([...NAMES, "compare.json", "report.html"].sort());
    const table = printed.slice(printed.indexOf("Run  "));
    for (const row of ["GPT, seed 1", "WaveGPT, seed 1", "GPT, seed 2", "WaveGPT, seed 2"]) {
      expect(table).toMatch(
        new RegExp(`^${row} +[\\d,]+ +60 +\\d\\.\\d{4} +\\d\\.\\d{4} +\\d\\.\\d{4}`, "m"),
      );
    }
    expect(table).toMatch(/^WaveGPT, mean of 2 .* \d\.\d{4} ± \d\.\d{4}/m);
    expect(table).toMatch(/^Report: .*report\.html$/m);
  });

  it("gives both the same settings, text and seeds", () => {
    const configs = NAMES.map((name) =>
      JSON.parse(readFileSync(join(out, name, "config.json"), "utf8")),
    );
    for (const { settings, text } of configs) {
      const { model: _, seed: __, ...shared } = settings;
      const { model: ___, seed: ____, ...first } = configs[0].settings;
      expect(shared).toEqual(first);
      expect(text).toEqual(configs[0].text);
    }
    expect(configs.map(({ settings }) => [settings.model, settings.seed])).toEqual([
      ...[
        ["gpt", 1],
        ["wavegpt", 1],
        ["gpt", 2],
        ["wavegpt", 2],
      ],
    ]);
    expect(configs[1].parameters).toBeGreaterThan(configs[0].parameters);
  });

  const loaderOf = (folder: string, name: string) =>
    JSON.parse(readFileSync(join(folder, name, "checkpoints/step-00000060/state.json"), "utf8"))
      .loader;

  it("gives each the order of the data that it needs, another one for each seed", () => {
    const order = (name: string) => loaderOf(out, name).order;
    expect(NAMES.map(order)).toEqual(["shuffled", "running", "shuffled", "running"]);
    expect(loaderOf(out, "gpt-seed-1")).not.toEqual(loaderOf(out, "gpt-seed-2"));
  });

  it("gives both the same order of the data where the WaveNet reads the tokens before", async () => {
    const previous = join(temporaryFolder(), "previous");
    const { status } = await run(["compare", ...flags, "--wavenet", "previous", "--out", previous]);
    expect(status).toBe(0);
    const [gpt, wavegpt] = readdirSync(previous).filter((name) => name.includes("seed"));
    expect(loaderOf(previous, gpt!)).toEqual(loaderOf(previous, wavegpt!));
  });

  it("writes one report with both models' curves", () => {
    const html = readFileSync(join(out, "report.html"), "utf8");
    const charts = JSON.parse(
      /<script type="application\/json" id="charts">(.*?)<\/script>/s.exec(html)![1]!,
    );
    const loss = charts.find((chart: { id: string }) => chart.id === "loss");
    expect(loss.curves.map((curve: { label: string }) => curve.label)).toEqual(
      ["GPT, seed 1", "WaveGPT, seed 1", "GPT, seed 2", "WaveGPT, seed 2"].flatMap((run) => [
        `${run}, training`,
        `${run}, held-out`,
      ]),
    );
    const alpha = charts.find((chart: { id: string }) => chart.id === "alpha");
    expect(alpha.curves.map((curve: { label: string }) => curve.label)).toEqual([
      "WaveGPT, seed 1",
      "WaveGPT, seed 2",
    ]);
    const metrics = readMetrics(join(out, "gpt-seed-1/metrics.jsonl"));
    expect(loss.curves[1].y).toEqual(
      metrics.filter(({ split }) => split === "val").map(({ loss: y }) => y),
    );
  });

  it("interrupted in the second run, goes on with it and leaves the first alone", async () => {
    const folder = join(temporaryFolder(), "comparison");
    const running = start(["compare", ...flags, "--seeds", "1", "--out", folder]);
    await running.until(/Run 2 of 2: WaveGPT[\s\S]*^step +15 {2}loss/m);
    running.child.kill("SIGINT");
    const { status, stdout } = await running.finished;
    expect(status).toBe(130);
    expect(stdout).toContain(`npx wavegpt compare --resume ${folder}`);
    expect(existsSync(join(folder, "report.html"))).toBe(true);
    const resumed = await run(["compare", "--resume", folder]);
    expect(resumed).toMatchObject({ status: 0, stderr: "" });
    for (const name of ["gpt-seed-1", "wavegpt-seed-1"]) {
      expect(fingerprint(join(folder, name))).toEqual(fingerprint(join(out, name)));
    }
  });

  it("takes more seeds later, and does not redo what is done", async () => {
    const before = readFileSync(join(out, "gpt-seed-1/metrics.jsonl"), "utf8");
    const { status, stdout } = await run(["compare", "--resume", out, "--seeds", "1,2", "--json"]);
    expect(status).toBe(0);
    expect(readFileSync(join(out, "gpt-seed-1/metrics.jsonl"), "utf8")).toBe(before);
    const last = JSON.parse(stdout.trimEnd().split("\n").at(-1)!);
    expect(last).toMatchObject({ event: "comparison", finished: true });
    expect(last.summaries).toHaveLength(4);
  });

  it("refuses other settings on resumption, and a folder that holds a comparison", async () => {
    const [other, again] = await Promise.all([
      run(["compare", "--resume", out, "--n-embd", "32"]),
      run(["compare", "--out", out]),
    ]);
    expect(other).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/another --n-embd \(the run has 16, got 32\)/),
    });
    expect(again).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/holds a comparison already/),
    });
  });
});

describe("wavegpt report", () => {
  it("makes one page of any runs and prints their table", async () => {
    const page = join(temporaryFolder(), "page.html");
    const folders = NAMES.slice(0, 2).map((name) => join(out, name));
    const { status, stdout } = await run(["report", ...folders, "--out", page]);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^GPT .*\nWaveGPT /m);
    expect(readFileSync(page, "utf8")).toContain("<title>GPT and WaveGPT on ");
  });

  it("names a folder that holds no run", async () => {
    const empty = temporaryFolder();
    const { status, stderr } = await run(["report", empty]);
    expect(stderr).toContain(`${empty}/config.json: there is no such file`);
    expect(status).toBe(1);
  });
});
