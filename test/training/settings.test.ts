import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { decoderBlocks } from "../../src/config/forms.js";
import { presets } from "../../src/config/presets.js";
import { resolveSettings } from "../../src/config/resolve.js";
import { resumeSettings } from "../../src/config/resume.js";
import { describeSettings, flagOf, type SettingsInput } from "../../src/config/settings.js";
import { planRun } from "../../src/training/plan.js";
import { temporaryFolder } from "../cli/command.js";

function file(name: string, content: string): string {
  const path = join(temporaryFolder(), name);
  writeFileSync(path, content);
  return path;
}

describe("where settings come from", () => {
  it("a file overrides the preset, a flag the file", () => {
    const config = file("run.toml", "batch-size = 8\nn_layers = 2\nlearningRate = 1e-3\n");
    const { settings, preset } = resolveSettings({
      preset: "shakespeare",
      config,
      settings: { nLayers: 3 },
    });
    expect(preset).toBe("shakespeare");
    expect(settings.batchSize).toBe(8);
    expect(settings.learningRate).toBe(1e-3);
    expect(settings.nLayers).toBe(3);
    expect(settings.nEmbd).toBe(presets.shakespeare!.nEmbd);
  });

  it("JSON says the same as TOML", () => {
    const toml = file("run.toml", 'steps = 7\nmilestones = [0.5, 6]\nmodel = "gpt"\n');
    const json = file("run.json", '{"steps": 7, "milestones": [0.5, 6], "model": "gpt"}');
    expect(resolveSettings({ config: toml })).toEqual(resolveSettings({ config: json }));
  });

  it.each([
    ["run.toml", "steps = [", /not valid TOML/],
    ["run.json", "{", /not valid JSON/],
    ["run.yaml", "steps: 3", /expected a \.toml or \.json file/],
    ["run.json", "[1]", /expected an object of settings/],
    ["run.json", '{"steps": "many"}', /steps \(--steps\): expected a number, got "many"/],
    ["run.json", '{"batch-size": 1, "batchSize": 2}', /batchSize is set twice/],
    ["run.json", '{"preset": 3}', /preset: expected a name, got 3/],
    ["run.json", '{"preset": "tolstoy"}', /expected one of shakespeare/],
    [
      "run.json",
      '{"minLearningRate": 1}',
      /--min-learning-rate\): expected at most the learning rate/,
    ],
    [
      "run.json",
      '{"accumulate": 5}',
      /--accumulate\): expected a divisor of the batch size 32, got 5/,
    ],
    ["run.json", '{"cudaGraph": 1}', /--cuda-graph\): expected true or false, got 1/],
    ["run.json", '{"samplePrompt": 5}', /--sample-prompt\): expected text, got 5/],
  ])("%s with %s is refused", (name, content, message) => {
    expect(() => resolveSettings({ config: file(name, content) })).toThrow(message);
  });

  it("every setting has a description, a group and a flag of its own", () => {
    const all = describeSettings();
    expect(new Set(all.map((setting) => setting.flag)).size).toBe(all.length);
    for (const setting of all) {
      expect(setting.description.length).toBeGreaterThan(10);
      expect(setting.group).toMatch(/^[A-Z]/);
    }
    expect(flagOf("minLearningRate")).toBe("--min-learning-rate");
    expect(flagOf("nEmbd")).toBe("--n-embd");
    expect(flagOf("beta1")).toBe("--beta1");
  });
});

describe("the shakespeare preset", () => {
  it("is the reference's experiment: 10 epochs of 436 steps, the last three at a tenth of the rate", () => {
    const { settings } = resolveSettings({ preset: "shakespeare" });
    expect(settings).toMatchObject({
      ...{ nEmbd: 128, nHeads: 4, blockSize: 64, batchSize: 32, dropout: 0.2 },
      ...{ learningRate: 3e-4, gamma: 0.1, schedule: "multi-step", clip: 0, weightDecay: 0.01 },
    });
    // 80 % of 1,115,394 characters, each predicted once an epoch.
    const textSteps = Math.ceil((Math.floor(1_115_394 * 0.8) - 1) / (32 * 64));
    const plan = planRun(settings, textSteps);
    expect(plan).toMatchObject({ stepsPerEpoch: 436, steps: 4360, evalEvery: 436 });
    expect(plan.milestones).toEqual([7 * 436]);
  });

  it("has the causal form with one decoder block, and four where there is no such WaveNet", () => {
    const of = (given: SettingsInput) =>
      resolveSettings({ preset: "shakespeare", settings: given }).settings;
    expect(of({})).toMatchObject({ model: "wavegpt", wavenet: "causal", wavenetNoise: 0.05 });
    expect(decoderBlocks(of({}))).toBe(1);
    expect(decoderBlocks(of({ nLayers: 3 }))).toBe(3);
    expect(decoderBlocks(of({ model: "gpt" }))).toBe(4);
    expect(decoderBlocks(of({ wavenet: "previous" }))).toBe(4);
  });

  it("leaves out what another form of WaveNet does not have, but not what was given", () => {
    const of = (given: SettingsInput) =>
      resolveSettings({ preset: "shakespeare", settings: given }).settings;
    expect(of({ wavenet: "previous" }).wavenetNoise).toBeUndefined();
    expect(() => of({ wavenet: "previous", wavenetNoise: 0.1 })).toThrow(
      /only a WaveNet of the form causal has it; expected none with --wavenet previous, got 0.1/,
    );
    const stored = resolveSettings({ settings: { wavenet: "previous" } });
    const resumed = resumeSettings(stored, {
      preset: "shakespeare",
      settings: { wavenet: "previous" },
    });
    expect(resumed.settings).toEqual(stored.settings);
    expect(resumeSettings(stored, { preset: "shakespeare" }).settings).toEqual(stored.settings);
  });
});

describe("the presets openwebtext", () => {
  it("take 4,096 tokens a step, or add up as many until there are 131,072", () => {
    const { settings: single } = resolveSettings({ preset: "openwebtext" });
    expect(single).toMatchObject({ learningRate: 3e-4, epochs: 10, accumulate: 1 });
    // The reference's form.
    expect(single).toMatchObject({ wavenet: "previous", nLayers: 6 });
    expect(single.batchSize * single.blockSize).toBe(4096);
    // The reference's epoch: 24.8 M tokens.
    expect(planRun(single, Math.ceil(24.8e6 / 4096)).steps).toBe(60_550);
    const { settings: several } = resolveSettings({ preset: "openwebtext-131k" });
    expect(several.batchSize * several.blockSize).toBe(131_072);
    expect((several.batchSize * several.blockSize) / several.accumulate).toBe(4096);
    expect(planRun(several, 190)).toMatchObject({ steps: 20_000, warmupSteps: 3 });
  });
});

describe("a plan", () => {
  const settings = (given: Record<string, unknown>) =>
    resolveSettings({ settings: given }).settings;

  it("takes steps before epochs, and shares of the run as steps", () => {
    const plan = planRun(
      settings({
        steps: 200,
        milestones: [0.9, 50],
        warmupSteps: 0.1,
        decaySteps: 0.25,
        stepSize: 0.5,
        schedule: "cosine",
      }),
      436,
    );
    expect(plan).toMatchObject({
      steps: 200,
      milestones: [50, 180],
      warmupSteps: 20,
      decaySteps: 50,
      stepSize: 100,
    });
  });

  it("counts epochs that are not whole", () => {
    expect(planRun(settings({ epochs: 0.5, stepsPerEpoch: 10 }), 436).steps).toBe(5);
  });

  it("refuses a schedule longer than the run", () => {
    expect(() =>
      planRun(settings({ steps: 10, warmupSteps: 11, schedule: "cosine" }), 436),
    ).toThrow(/--warmup-steps\): expected fewer than the run's 10 steps, got 11/);
    expect(() =>
      planRun(
        settings({ steps: 10, warmupSteps: 6, decaySteps: 5, schedule: "warmup-stable-decay" }),
        436,
      ),
    ).toThrow(/longer than the run's 10 steps/);
  });
});

describe("a resumed run's settings", () => {
  const stored = resolveSettings({ settings: { steps: 100, nLayers: 2 } });

  it("are its own, but for how long it runs, how it reports and where it computes", () => {
    const { settings } = resumeSettings(stored, {
      settings: { steps: 300, evalEvery: 7, device: "cpu" },
    });
    expect(settings).toEqual({ ...stored.settings, steps: 300, evalEvery: 7, device: "cpu" });
  });

  it("take epochs instead of the steps they had", () => {
    expect(resumeSettings(stored, { settings: { epochs: 3 } }).settings.steps).toBeUndefined();
  });

  it("do not change what the run is", () => {
    expect(() => resumeSettings(stored, { settings: { nLayers: 3, seed: 1 } })).toThrow(
      /another --n-layers \(the run has 2, got 3\), --seed \(the run has 1337, got 1\)/,
    );
    expect(resumeSettings(stored, { settings: { nLayers: 2 } }).settings).toEqual(stored.settings);
  });
});
