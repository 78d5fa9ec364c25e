import type { Band } from "../../src/study/band.js";
import type { ProbeResults } from "../../src/study/probe-results.js";
import type { ArmResult, StudyResults } from "../../src/study/results.js";
import { estimate } from "../../src/study/statistics.js";

const SEEDS = [1, 2, 3];

/** Three curves, 0.01 apart. */
function around(x: number[], y: (x: number) => number): Band {
  const mean = x.map(y);
  return { x, mean, low: mean.map((n) => n - 0.01), high: mean.map((n) => n + 0.01) };
}

function arm(more: Partial<ArmResult> & Pick<ArmResult, "id" | "title">, loss: number): ArmResult {
  const losses = [loss - 0.01, loss, loss + 0.01];
  const steps = [0, 500, 1000];
  return {
    ...{ nLayers: 4, nEmbd: 128, blockSize: 64, batchSize: 32, parameters: 818_241 },
    ...{ flops: 4e6, match: null, alpha: null, time: null, behind: null, positions: null },
    runs: losses.map((value, i) => ({
      ...{ seed: SEEDS[i]!, loss: value, bits: value / Math.LN2, trainLoss: value - 0.1 },
      ...{ alpha: null, seconds: 60 },
    })),
    loss: estimate(losses),
    bits: estimate(losses.map((value) => value / Math.LN2)),
    trainLoss: estimate(losses.map((value) => value - 0.1)),
    curves: {
      heldOut: around(steps, (step) => loss + (4.2 - loss) * Math.exp(-step / 150)),
      alpha: { x: [], mean: [], low: [], high: [] },
    },
    ...more,
  };
}

const time = (median: number) => ({
  ...{ median, lowerQuartile: median - 1, upperQuartile: median + 1 },
  ...{ tokensPerSecond: 2_048_000 / median, rounds: 20 },
});

/** Results of three models, of the usual shape. */
export function madeUpStudy(): StudyResults {
  const places = Array.from({ length: 64 }, (_, i) => i);
  const lengths = Array.from({ length: 11 }, (_, i) => 2 ** i);
  const positions = (gain: number) => ({
    place: around(places, (place) => 1.8 - gain + Math.exp(-place / 8)),
    history: around(lengths, (length) => 2.4 - 0.1 * Math.min(Math.log2(length), 6 + 10 * gain)),
  });
  const arms = [
    arm({ id: "gpt", title: "GPT", positions: positions(0) }, 1.8),
    arm(
      {
        ...{ id: "gpt-flops", title: "GPT of causal's FLOPs", flops: 4.04e6, time: time(50) },
        match: { to: "flops", deviation: 0.01 },
        behind: estimate([-0.16, -0.15, -0.14]),
      },
      1.75,
    ),
    arm(
      {
        ...{ id: "causal", title: "WaveGPT, causal", time: time(45), positions: positions(0.15) },
        curves: {
          heldOut: around([0, 500, 1000], (step) => 1.6 + 2.6 * Math.exp(-step / 120)),
          alpha: around([0, 500, 1000], (step) => 0.5 + step / 1e4),
        },
      },
      1.6,
    ),
  ];
  return {
    ...{ study: "context", title: "Context beyond the window", steps: 1000, seeds: SEEDS, arms },
    text: { title: "Tiny Shakespeare", trainTokens: 892_315, valTokens: 223_079 },
    machine: { device: "cpu", threads: 1, libtorch: "2.13.0", wavegpt: "0.1.0", node: "20.20.2" },
    published: null,
    verdict: {
      ...{ subject: "WaveGPT, causal", rival: "GPT of causal's FLOPs" },
      difference: arms[1]!.behind!,
      stepTime: { rival: "GPT of causal's FLOPs", ratio: 0.9 },
    },
  };
}

/** Results of two models on the three tasks. */
export function madeUpProbes(): ProbeResults {
  const distances = Array.from({ length: 8 }, (_, i) => 16 * 2 ** i);
  const tasks = [
    { name: "needle", title: "Needle", chance: 1 / 16 },
    { name: "copy", title: "Copy", chance: 1 / 16 },
    { name: "recall", title: "Associative recall", chance: 1 / 16 },
  ];
  const probed = (id: string, title: string, reach: number) => ({
    ...{ id, title, parameters: 100_000 },
    tasks: tasks.map(({ name }) => ({
      ...{ name, seeds: 3, within: estimate([0.98, 0.99, 1]) },
      beyond: around(distances, (distance) => (distance <= reach ? 0.95 : 0.06)),
    })),
  });
  return {
    ...{ study: "probes", title: "Answers from beyond the window", steps: 2000, seeds: SEEDS },
    ...{ window: 32, tasks },
    arms: [probed("gpt", "GPT", 0), probed("causal", "WaveGPT, causal", 256)],
  };
}
