import type { WriteStream } from "node:tty";
import { describe, expect, it } from "vitest";
import { renderBar } from "../../src/cli/progress-bar.js";
import { Style } from "../../src/cli/style.js";
import { TextReporter } from "../../src/cli/text-reporter.js";
import type { MetricRecord } from "../../src/run/metrics.js";

/** A terminal that remembers, as lines, what it shows: enough of one for carriage return and erase. */
class Screen {
  readonly isTTY: boolean;
  readonly columns: number;
  raw = "";

  constructor(isTTY: boolean, columns = 80) {
    this.isTTY = isTTY;
    this.columns = columns;
  }

  write(text: string): boolean {
    this.raw += text;
    return true;
  }

  lines(): string[] {
    return this.raw
      .split("\n")
      .map((line) => line.split("\r\u001b[2K").at(-1)!)
      .filter((line, i, all) => line !== "" || i < all.length - 1);
  }
}

const noColour = { TERM: "xterm", NO_COLOR: "1" };

function reporterOn(screen: Screen): TextReporter {
  const stream = screen as unknown as WriteStream;
  return new TextReporter(stream, new Style(stream, noColour));
}

const record: MetricRecord = {
  ...{ step: 10, split: "train", loss: 2.5, lr: 3e-4, tokens: 20_480, tokens_per_second: 12_345 },
  ...{ alpha: 0.9, epoch: 0.02, seconds: 3 },
};
const step = {
  type: "step",
  step: 50,
  steps: 100,
  lr: 3e-4,
  tokensPerSecond: 12_345,
  secondsLeft: 75,
} as const;

describe("the progress bar", () => {
  it("shows step, share, loss, time left, speed and learning rate, in one line that fits", () => {
    const facts = ["loss 2.5000", "1 min 15 s left", "12.3k tokens/s", "lr 3e-4"];
    for (const columns of [120, 80, 60, 40, 25, 10]) {
      const bar = renderBar({ step: 50, steps: 100, facts }, columns, new Style({ isTTY: false }));
      if (columns >= 40) expect(bar.length).toBeLessThan(columns);
      expect(bar).toContain(" 50/100");
      expect(bar).toContain("50%");
      expect(bar).toContain("loss 2.5000");
    }
    const wide = renderBar({ step: 50, steps: 100, facts }, 120, new Style({ isTTY: false }));
    for (const fact of facts) expect(wide).toContain(fact);
    expect(wide).toContain(`${"━".repeat(20)}${"─".repeat(20)}`);
  });

  it("stays below the lines, and goes at the end", () => {
    const screen = new Screen(true, 110);
    const reporter = reporterOn(screen);
    reporter.event({ type: "train", record });
    reporter.event(step);
    expect(screen.lines()).toEqual([
      expect.stringMatching(
        /^ 50\/100 .* loss 2\.5000 {2}1 min 15 s left {2}12\.3k tokens\/s {2}lr 3e-4$/,
      ),
    ]);
    reporter.event({
      type: "val",
      record: { ...record, split: "val", step: 50, bits_per_character: 3.6 },
      best: true,
    });
    const lines = screen.lines();
    expect(lines[0]).toBe(
      "step 50  train 2.5000  held-out 2.5000  3.600 bits/char  alpha 0.9000  best so far",
    );
    expect(lines[1]).toMatch(/^ 50\/100/);
    reporter.close();
    expect(screen.lines()).toEqual([lines[0]]);
  });

  it("folds samples to the terminal's width and lets no control character through", () => {
    const screen = new Screen(true, 40);
    reporterOn(screen).event({
      type: "sample",
      step: 0,
      prompt: "\n",
      text: `a\u001b[31mb\u0007 ${"word ".repeat(20)}`,
    });
    for (const line of screen.lines()) expect(line.length).toBeLessThan(40);
    expect(screen.raw.replaceAll("\u001b[2K", "")).not.toContain("\u001b");
    expect(screen.raw).not.toContain("\u0007");
    expect(screen.raw.replace(/[^w]/g, "")).toHaveLength(20);
  });
});

describe("without a terminal", () => {
  it("a line is printed for each record and nothing is drawn over", () => {
    const screen = new Screen(false);
    const reporter = reporterOn(screen);
    reporter.event({ type: "train", record });
    reporter.event(step);
    reporter.close();
    expect(screen.raw).toBe("step 10  loss 2.5000  lr 3e-4  12.3k tokens/s  3 s\n");
  });
});

describe("style", () => {
  it("is for terminals that want it", () => {
    const styled = (isTTY: boolean, env: NodeJS.ProcessEnv) =>
      new Style({ isTTY }, env).bold("x") !== "x";
    expect(styled(true, { TERM: "xterm" })).toBe(true);
    expect(styled(false, { TERM: "xterm" })).toBe(false);
    expect(styled(true, { TERM: "dumb" })).toBe(false);
    expect(styled(true, noColour)).toBe(false);
  });
});
