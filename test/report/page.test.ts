import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Script } from "node:vm";
import { describe, expect, it } from "vitest";
import { escapeHtml, escapeJson } from "../../src/report/escape.js";
import { writeReport } from "../../src/report/index.js";
import { SCRIPT } from "../../src/report/script.js";
import { temporaryFolder } from "../cli/command.js";
import { type MadeUp, writeMadeUpRun } from "./made-up-run.js";

/** Writes runs and a report of them, and reads it. */
function report(...runs: MadeUp[]) {
  const folder = temporaryFolder();
  const folders = runs.map((_, i) => join(folder, `run-${i}`));
  const records = runs.map((run, i) => writeMadeUpRun(folders[i]!, run));
  const path = join(folder, "report.html");
  const summaries = writeReport(folders, path);
  const html = readFileSync(path, "utf8");
  const json = /<script type="application\/json" id="charts">(.*?)<\/script>/s.exec(html)![1]!;
  return { html, summaries, records, charts: JSON.parse(json) as Chart[], folders, path };
}

interface Chart {
  id: string;
  title: string;
  description: string;
  curves: { label: string; run: number; kind: string; x: number[]; y: number[] }[];
}

describe("a report", () => {
  it("has the curves as they were recorded, of training and held-out text", () => {
    const { charts, records } = report({ model: "gpt" }, { model: "wavegpt" });
    expect(charts.map(({ id }) => id)).toEqual(["loss", "alpha", "rate", "speed"]);
    const [loss, alpha] = charts;
    expect(loss!.curves.map(({ label, kind, run }) => [label, kind, run])).toEqual([
      ["GPT, training", "train", 0],
      ["GPT, held-out", "val", 0],
      ["WaveGPT, training", "train", 1],
      ["WaveGPT, held-out", "val", 1],
    ]);
    for (const [i, curve] of loss!.curves.entries()) {
      const recorded = records[i >> 1]!.filter(({ split }) => split === curve.kind);
      expect(curve.x).toEqual(recorded.map(({ step }) => step));
      expect(curve.y).toEqual(recorded.map(({ loss: value }) => value));
    }
    expect(alpha!.curves.map(({ label }) => label)).toEqual(["WaveGPT"]);
    expect(alpha!.curves[0]!.x).toEqual([...alpha!.curves[0]!.x].sort((a, b) => a - b));
  });

  it("stands alone: no address of anything, and a policy that forbids fetching", () => {
    const { html } = report({ model: "gpt" }, {});
    const markup = html
      .replace(/<script[^>]*>.*?<\/script>/gs, "")
      .replace(/<style>.*?<\/style>/gs, "");
    expect(markup).not.toMatch(/\b(src|href|srcset|action|poster)\s*=\s*["'](?!data:)/i);
    expect(html).not.toMatch(/url\(|@import|<link rel="stylesheet"|<iframe|<object|<embed/i);
    expect(html).toContain("default-src 'none'");
    expect(html).toContain("var uPlot");
    expect(html).toContain(".u-legend");
  });

  it("shows hostile names as text, wherever they stand", () => {
    const evil = `</script><script>alert("x")</script><img src=x onerror='alert(1)'>&amp;`;
    const { html, charts } = report({ title: evil, data: evil });
    expect(html).not.toContain("<script>alert");
    expect(html).not.toContain("<img");
    expect(html).toContain(escapeHtml(evil));
    expect(html.match(/<script/g)).toHaveLength(3);
    expect(charts).toHaveLength(4);
  });

  it("tells each curve in words, for those who cannot see it", () => {
    const { html, charts, records } = report({});
    const val = records[0]!.filter(({ split }) => split === "val");
    expect(charts[0]!.description).toContain(
      `WaveGPT, held-out: from ${Number(val[0]!.loss.toPrecision(4))} at step 0 to ${Number(val.at(-1)!.loss.toPrecision(4))} at step 4360`,
    );
    expect(html).toContain(`aria-label="${escapeHtml(charts[0]!.description)}"`);
    expect(html).toMatch(/<html lang="en">/);
    for (const heading of html.match(/<th[ >][^>]*/g)!) expect(heading).toContain('scope="');
    expect(html.match(/<caption>/g)).toHaveLength(3);
  });

  it("thins out long curves by means, and keeps their ends", () => {
    const { charts, records } = report({ steps: 30_000, logEvery: 5, evalEvery: 10_000 });
    const train = charts[0]!.curves[0]!;
    expect(train.x.length).toBeLessThanOrEqual(2000);
    expect(train.x.length).toBeGreaterThan(1000);
    expect(train.x.at(-1)).toBe(30_000);
    const recorded = records[0]!.filter(({ split }) => split === "train").map(({ loss }) => loss);
    const mean = (values: number[]) => values.reduce((a, b) => a + b) / values.length;
    expect(mean(train.y)).toBeCloseTo(mean(recorded), 6);
  });

  it("is made of an unfinished run too", () => {
    const { summaries, html } = report({ steps: 5, logEvery: 10, evalEvery: 436 });
    expect(summaries[0]).toMatchObject({ trainLoss: null, tokensPerSecond: null, bestStep: 0 });
    expect(html).toContain("–");
  });

  it("refuses a folder without metrics", () => {
    const folder = join(temporaryFolder(), "run");
    writeMadeUpRun(folder);
    writeFileSync(join(folder, "metrics.jsonl"), "");
    expect(() => writeReport([folder], join(folder, "x.html"))).toThrow(/has no lines yet/);
    expect(() => writeReport([temporaryFolder()], join(folder, "x.html"))).toThrow(
      /there is no such file/,
    );
    expect(() => writeReport([], join(folder, "x.html"))).toThrow(/at least one run/);
  });
});

describe("a summary", () => {
  it("has the least held-out loss, where it was, and the median speed", () => {
    const { summaries, records } = report({ model: "wavegpt", seed: 3 });
    const val = records[0]!.filter(({ split }) => split === "val");
    const least = val.reduce((a, b) => (b.loss < a.loss ? b : a));
    const speeds = records[0]!
      .filter(({ split }) => split === "train")
      .map((record) => record.tokens_per_second)
      .sort((a, b) => a - b);
    expect(summaries[0]).toMatchObject({
      ...{ label: "WaveGPT", seed: 3, parameters: 1_018_306, steps: 4360 },
      ...{ bestLoss: least.loss, bestStep: least.step, bestBits: least.loss / Math.LN2 },
      ...{ lastLoss: val.at(-1)!.loss, seconds: 4360 * 0.19 },
    });
    expect(summaries[0]!.tokensPerSecond).toBe((speeds[217]! + speeds[218]!) / 2);
  });

  it("tells runs of one model apart by seed, or else by folder", () => {
    expect(report({ seed: 1 }, { seed: 2 }).summaries.map(({ label }) => label)).toEqual([
      "WaveGPT, seed 1",
      "WaveGPT, seed 2",
    ]);
    expect(report({ seed: 1 }, { seed: 1 }).summaries.map(({ label }) => label)).toEqual([
      "WaveGPT, run-0",
      "WaveGPT, run-1",
    ]);
  });
});

it("the page's script is JavaScript", () => {
  expect(() => new Script(SCRIPT)).not.toThrow();
});

it("escapeJson keeps the value and never ends a script", () => {
  const value = { a: "</script><!--\u2028\u2029" };
  expect(JSON.parse(escapeJson(value))).toEqual(value);
  expect(escapeJson(value)).not.toMatch(/[<\u2028\u2029]/);
});
