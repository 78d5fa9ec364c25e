import { describe, expect, it } from "vitest";
import { Random } from "../../src/data/random.js";
import { ASK, PROBE_VOCABULARY, STORE, VALUES } from "../../src/probes/episode.js";
import {
  PROBE_TASKS,
  ProbeStream,
  type ProbeTask,
  probeDistances,
} from "../../src/probes/index.js";

const WINDOW = 32;

/** A row's whole text, with the answers and the distances of many windows. */
function read(task: ProbeTask, seed: number, windows: number, mix?: "even" | "favour-short") {
  const stream = new ProbeStream({ task, rows: 2, window: WINDOW, seed, ...(mix && { mix }) });
  const rows = [0, 1].map(() => ({ x: [] as number[], y: [] as number[], d: [] as number[] }));
  for (let i = 0; i < windows; i++) {
    const { x, y, distance, answers } = stream.next();
    expect(answers).toBe([...y].filter((target) => target !== -100).length);
    rows.forEach((row, at) => {
      row.x.push(...x.subarray(at * WINDOW, (at + 1) * WINDOW));
      row.y.push(...y.subarray(at * WINDOW, (at + 1) * WINDOW));
      row.d.push(...distance.subarray(at * WINDOW, (at + 1) * WINDOW));
    });
  }
  return { rows, distances: stream.distances };
}

describe.each(PROBE_TASKS.map((task) => [task.name, task] as const))("%s", (_, task) => {
  const { rows, distances } = read(task, 7, 600);

  it("asks for the token that lies exactly the distance back", () => {
    const seen = new Set<number>();
    for (const { x, y, d } of rows) {
      y.forEach((target, at) => {
        expect(d[at]! >= 0).toBe(target !== -100);
        if (target === -100) return;
        seen.add(d[at]!);
        expect(target).toBeLessThan(VALUES);
        expect(x[at - distances[d[at]!]!.gap]).toBe(target);
      });
    }
    expect([...seen].sort((a, b) => a - b)).toEqual(distances.map((_, i) => i));
  });

  it("keeps what is asked for out of the question's window, but for the control's", () => {
    for (const { d } of rows) {
      d.forEach((choice, at) => {
        if (choice < 0) return;
        const { beyond, gap } = distances[choice]!;
        const sameBlock = Math.floor((at - gap) / WINDOW) === Math.floor(at / WINDOW);
        expect(sameBlock).toBe(beyond === null);
      });
    }
  });

  it("is the same by seed, and another by another", () => {
    expect(read(task, 7, 20)).toEqual(read(task, 7, 20));
    expect(read(task, 7, 20).rows).not.toEqual(read(task, 8, 20).rows);
    expect(rows[0]!.x).not.toEqual(rows[1]!.x);
  });

  it("stays within the vocabulary and marks every episode", () => {
    for (const { x } of rows) {
      expect(Math.min(...x)).toBeGreaterThanOrEqual(0);
      expect(Math.max(...x)).toBeLessThan(PROBE_VOCABULARY);
      const count = (token: number) => x.filter((one) => one === token).length;
      expect(count(STORE) - count(ASK)).toBeGreaterThanOrEqual(0);
      expect(count(STORE) - count(ASK)).toBeLessThanOrEqual(1);
    }
  });

  it("cannot be answered by chance more often than it says", () => {
    const random = new Random(1);
    const targets = Array.from({ length: 4000 }, () => task.episode(64, random).answers[0]!.target);
    const shares = Array.from(
      { length: VALUES },
      (_, value) => targets.filter((target) => target === value).length / 4000,
    );
    for (const share of shares) expect(Math.abs(share - task.chance)).toBeLessThan(0.015);
  });
});

it("distances go from within the window to 2,048 tokens beyond it", () => {
  expect(probeDistances(32).map(({ beyond, gap }) => [beyond, gap])).toEqual([
    [null, 16],
    ...[16, 32, 64, 128, 256, 512, 1024, 2048].map((beyond) => [beyond, 32 + beyond]),
  ]);
});

it("short distances come more often where they are favoured", () => {
  const task = PROBE_TASKS[0]!;
  const counts = (mix: "even" | "favour-short") => {
    const { rows } = read(task, 3, 6000, mix);
    const all = rows.flatMap(({ d }) => d);
    return [1, 8].map((choice) => all.filter((one) => one === choice).length) as [number, number];
  };
  const [short, long] = counts("even");
  expect(short / long).toBeGreaterThan(0.6);
  expect(short / long).toBeLessThan(1.7);
  const [favoured, rare] = counts("favour-short");
  expect(favoured / rare).toBeGreaterThan(3.5);
});
