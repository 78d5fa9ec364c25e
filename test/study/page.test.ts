import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { packageRoot } from "../../lib/package-root.js";
import { STUDIES } from "../../src/study/arms.js";
import { figures, fillResults } from "../../src/study/markdown.js";
import { probePage, studyPage } from "../../src/study/page.js";
import { studyTable, verdictSentence } from "../../src/study/table.js";
import { madeUpProbes, madeUpStudy } from "./made-up-results.js";

interface Chart {
  id: string;
  x: { scale: string };
  description: string;
  curves: { label: string; x: number[]; y: number[]; band?: { low: number[]; high: number[] } }[];
}

const chartsOf = (html: string) =>
  JSON.parse(
    /<script type="application\/json" id="charts">(.*?)<\/script>/s.exec(html)![1]!,
  ) as Chart[];

describe("a study's page", () => {
  const results = madeUpStudy();
  const html = studyPage(results);

  it("draws loss, alpha, and loss by position, with a band from the least to the largest seed", () => {
    const charts = chartsOf(html);
    expect(charts.map(({ id }) => id)).toEqual(["loss", "alpha", "place", "history"]);
    const [loss, alpha, place, history] = charts as [Chart, Chart, Chart, Chart];
    expect(loss.curves.map(({ label }) => label)).toEqual(results.arms.map(({ title }) => title));
    const { heldOut } = results.arms[0]!.curves;
    // The loss before the first step is left out.
    expect(loss.curves[0]).toMatchObject({
      x: heldOut.x.slice(1),
      y: heldOut.mean.slice(1),
      band: { low: heldOut.low.slice(1), high: heldOut.high.slice(1) },
    });
    expect(alpha.curves.map(({ label }) => label)).toEqual(["WaveGPT, causal"]);
    expect(place.curves).toHaveLength(2);
    expect(history.x.scale).toBe("log2");
    expect(place.description).toContain("by the position in the block");
  });

  it("stands alone, and shows hostile titles as text", () => {
    const evil = `</script><img src=x onerror="alert(1)">`;
    const hostile = studyPage({ ...results, title: evil });
    expect(hostile).not.toContain("<img");
    expect(hostile).toContain("default-src 'none'");
    expect(hostile).not.toMatch(/https?:\/\/(?!www\.w3\.org)[^"'\s]*\.(js|css)/);
    expect(hostile.match(/<script/g)).toHaveLength(3);
  });

  it("says the verdict, with its interval and the step's time", () => {
    const sentence = verdictSentence(results)!;
    expect(sentence).toBe(
      "WaveGPT, causal: 0.1500 ± 0.0248 nats below GPT of causal's FLOPs (95 % interval of the paired difference, 3 seeds). A step takes 0.90 of the time of GPT of causal's FLOPs.",
    );
    expect(html).toContain("0.1500 ± 0.0248 nats below");
  });

  it("has a row for each model: size, loss with its interval, time with its spread", () => {
    const { columns, rows } = studyTable(results);
    for (const row of rows) expect(row).toHaveLength(columns.length);
    const cell = (row: number, column: string) => rows[row]![columns.indexOf(column)];
    expect(cell(1, "FLOPs/token")).toBe("4.04M (+1.0 %)");
    expect(cell(0, "Held-out loss")).toBe("1.8000 ± 0.0248");
    expect(cell(1, "Causal less this")).toBe("−0.1500 ± 0.0248");
    expect(cell(2, "Causal less this")).toBe("–");
    expect(cell(2, "ms/step")).toBe("45.0 (44.0-46.0)");
  });
});

describe("a page of probes", () => {
  const results = madeUpProbes();

  it("has a chart for each task over the distance, and a table with chance", () => {
    const charts = chartsOf(probePage(results));
    expect(charts.map(({ id, x }) => [id, x.scale])).toEqual([
      ["needle", "log2"],
      ["copy", "log2"],
      ["recall", "log2"],
    ]);
    expect(charts[0]!.curves[1]!.y).toEqual(results.arms[1]!.tasks[0]!.beyond.mean);
    expect(probePage(results)).toContain("Needle: chance");
  });
});

describe("docs/results.md's markers", () => {
  const page = [
    "before",
    "<!-- results: context verdict -->\nold\n<!-- end -->",
    "<!-- results: probes table -->\n<!-- end -->",
    "<!-- results: nanogpt table -->\nkept\n<!-- end -->",
    "after",
  ].join("\n\n");

  it("are filled from results, and what was not measured stays", () => {
    const filled = fillResults(page, [madeUpStudy(), madeUpProbes()]);
    expect(filled).toContain("<!-- results: context verdict -->\nWaveGPT, causal: 0.1500 ± 0.0248");
    expect(filled).toContain("| Task, model | Within | +16 |");
    expect(filled).toContain("<!-- results: nanogpt table -->\nkept\n<!-- end -->");
    expect(filled.startsWith("before\n")).toBe(true);
    expect(filled.endsWith("\nafter")).toBe(true);
    expect(fillResults(filled, [madeUpStudy(), madeUpProbes()])).toBe(filled);
  });

  it("in the page itself all have a study and a part, and its figures are those that are made", () => {
    const path = join(packageRoot(), "docs", "results.md");
    const own = readFileSync(path, "utf8");
    const named = (study: string) => ({ ...madeUpStudy(), study });
    const all = [madeUpStudy(), named("context-small"), named("nanogpt"), madeUpProbes()];
    const filled = fillResults(own, all);
    const marked = [...filled.matchAll(/<!-- results: (\S+) (\S+) -->\n(?!<!-- end -->)/g)];
    expect(marked).toHaveLength([...own.matchAll(/<!-- results: /g)].length);
    expect(new Set(marked.map(([, study]) => study))).toEqual(
      new Set(STUDIES.map(({ name }) => name)),
    );
    const shown = [...own.matchAll(/\]\(figures\/([^)]+)\)/g)].map(([, name]) => name!);
    const made = all.flatMap((results) => [...figures(results).keys()]);
    for (const name of shown) expect(made).toContain(name);
  });

  it("with an unknown part are an error", () => {
    const wrong = "<!-- results: context sums -->\n<!-- end -->";
    expect(() => fillResults(wrong, [madeUpStudy()])).toThrow(/names "sums"/);
  });

  it("have figures as images of their own", () => {
    const images = figures(madeUpStudy());
    expect([...images.keys()]).toEqual(
      ["loss", "alpha", "place", "history"].map((id) => `context-${id}.svg`),
    );
    for (const svg of images.values()) {
      expect(svg).toMatch(/^<svg [^>]*viewBox="0 0 720 \d+"/);
      expect(svg).toContain("generated by npm run results");
      expect(svg).not.toMatch(/NaN|undefined|Infinity/);
    }
    // Two curves with bands: an area and a line each.
    const place = images.get("context-place.svg")!;
    expect(place.match(/stroke-width="2"/g)).toHaveLength(2);
    expect(place.match(/fill-opacity/g)).toHaveLength(2);
  });
});
