import { execFile } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { writeReport } from "../../src/report/index.js";
import { writeStudyPage } from "../../src/study/page.js";
import { temporaryFolder } from "../cli/command.js";
import { madeUpProbes, madeUpStudy } from "../study/made-up-results.js";
import { writeMadeUpRun } from "./made-up-run.js";

/** `WAVEGPT_CHROMIUM`, or a Chromium on the PATH. */
function chromium(): string {
  if (process.env.WAVEGPT_CHROMIUM) return process.env.WAVEGPT_CHROMIUM;
  const names = ["chromium", "chromium-browser", "google-chrome"];
  const folders = (process.env.PATH ?? "").split(delimiter);
  const found = names
    .flatMap((name) => folders.map((folder) => join(folder, name)))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
  if (!found) throw new Error("this test needs Chromium: install it, or set WAVEGPT_CHROMIUM");
  return found;
}

/** The page's document after its scripts have run, and what the browser printed about errors. */
async function open(path: string, width: number): Promise<{ dom: string; errors: string }> {
  const { stdout, stderr } = await promisify(execFile)(
    chromium(),
    [
      ...["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0"],
      ...[`--user-data-dir=${join(temporaryFolder(), "profile")}`, `--window-size=${width},900`],
      ...["--virtual-time-budget=3000", "--dump-dom", pathToFileURL(path).href],
    ],
    { maxBuffer: 1 << 26 },
  );
  return {
    dom: stdout,
    errors: stderr
      .split("\n")
      .filter((line) => line.includes(":CONSOLE"))
      .join("\n"),
  };
}

it.each([600, 1400])("a browser %i wide draws every chart of a study", async (width) => {
  const folder = temporaryFolder();
  for (const [results, charts, labels] of [
    [madeUpStudy(), 4, ["GPT of causal&#39;s FLOPs|GPT of causal's FLOPs", "WaveGPT, causal"]],
    [madeUpProbes(), 3, ["GPT", "WaveGPT, causal"]],
  ] as const) {
    const page = join(folder, "report.html");
    writeStudyPage(page, results);
    const { dom, errors } = await open(page, width);
    expect(errors).toBe("");
    const body = dom.replace(/<script[^>]*>.*?<\/script>/gs, "");
    const canvases = [...body.matchAll(/<canvas width="(\d+)"/g)].map(([, size]) => Number(size));
    expect(canvases).toHaveLength(charts);
    for (const canvas of canvases) {
      expect(canvas).toBeGreaterThan(300);
      expect(canvas).toBeLessThanOrEqual(width);
    }
    for (const label of labels) {
      expect(body).toMatch(new RegExp(`role="button"[^>]*>(<[^>]+>)*(${label})|>(${label})<`));
    }
    // A band's edges are series without a place in the legend.
    expect(body).toMatch(/class="u-series edge"/);
    expect(body).toContain("Tokens ");
  }
});

it.each([600, 1400])("a browser %i wide draws every chart, without an error", async (width) => {
  const folder = temporaryFolder();
  const folders = ["gpt", "wavegpt"].map((name) => join(folder, name));
  writeMadeUpRun(folders[0]!, {
    model: "gpt",
    title: "</script><script>document.title='broken'</script>",
  });
  writeMadeUpRun(folders[1]!, { model: "wavegpt" });
  const page = join(folder, "report.html");
  writeReport(folders, page);
  const { dom, errors } = await open(page, width);
  expect(errors).toBe("");
  const body = dom.replace(/<script[^>]*>.*?<\/script>/gs, "");
  expect(body.match(/<canvas/g)).toHaveLength(4);
  for (const curve of [
    "GPT, training",
    "GPT, held-out",
    "WaveGPT, training",
    "WaveGPT, held-out",
  ]) {
    expect(body).toMatch(new RegExp(`role="button"[^>]*>(<[^>]+>)*${curve}|>${curve}<`));
  }
  const canvases = [...body.matchAll(/<canvas width="(\d+)"/g)].map((match) => Number(match[1]));
  for (const canvas of canvases) {
    expect(canvas).toBeGreaterThan(300);
    expect(canvas).toBeLessThanOrEqual(width);
  }
  expect(dom).not.toContain("<title>broken");
});
