import { existsSync, readdirSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { torch } from "../../lib/index.js";
import { listCheckpoints } from "../../src/run/checkpoints.js";
import { readMetrics } from "../../src/run/metrics.js";
import { readChromeTrace } from "../lib/chrome-trace.js";
import { fingerprint } from "../training/tiny-run.js";
import { run, smallText, smallTextFile, start, TINY, temporaryFolder } from "./command.js";

const data = smallTextFile();
const newFolder = () => join(temporaryFolder(), "run");
const training = (out: string, ...more: string[]) => [
  ...["train", "--data", data, "--out", out, ...TINY, "--dropout", "0.2"],
  ...more,
];

describe("wavegpt train", () => {
  it("prints plain lines where there is no terminal, and writes the run", async () => {
    const out = newFolder();
    const { status, stdout, stderr } = await run(
      training(out, "--steps", "12", "--eval-every", "6"),
    );
    expect(stderr).toBe("");
    expect(status).toBe(0);
    for (const control of ["\r", "\u001b"]) expect(stdout).not.toContain(control);
    expect(stdout).toMatch(/^WaveGPT, [\d,]+ parameters, on cpu \(1 thread\) in float32$/m);
    expect(stdout).toMatch(/^step {2}5 {2}loss \d\.\d{4} {2}lr 3e-4 {2}[\d.,k]+ tokens\/s/m);
    expect(stdout).toMatch(
      /^step {2}6 {2}train \d\.\d{4} {2}held-out \d\.\d{4} {2}\d\.\d{3} bits\/char {2}alpha \d/m,
    );
    expect(stdout).toMatch(/^ {2}│ ./m);
    expect(stdout).toMatch(/^Done in .* Best held-out loss \d\.\d{4}, at step \d+\.$/m);
    expect(readdirSync(out).sort()).toEqual([
      ...["checkpoints", "config.json", "metrics.jsonl", "model.safetensors"],
      ...["report.html", "tokenizer.json"],
    ]);
    expect(readdirSync(join(out, "checkpoints"))).toEqual(["step-00000012"]);
    expect(readdirSync(join(out, "checkpoints/step-00000012")).sort()).toEqual([
      ...["history.safetensors", "model.safetensors", "optimizer.safetensors", "state.json"],
    ]);
  });

  it("--json prints one object a line", async () => {
    const out = newFolder();
    const { status, stdout } = await run(training(out, "--steps", "10", "--json"), {
      program: "wavegpt",
    });
    expect(status).toBe(0);
    const lines = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines[0]).toMatchObject({ event: "start", model: "wavegpt", step: 0, device: "cpu" });
    expect(lines.at(-1)).toMatchObject({ event: "end", finished: true, step: 10 });
    const metrics = lines
      .filter(({ event }) => event === "train" || event === "val")
      .map(({ event: _, best: __, ...record }) => record);
    expect(metrics).toEqual(readMetrics(join(out, "metrics.jsonl")));
    expect(lines.map(({ event }) => event)).toContain("checkpoint");
  });

  it("--profile writes a trace, says where it is and how to open it, and what took the time", async () => {
    const out = newFolder();
    const { status, stdout, stderr } = await run(training(out, "--steps", "10", "--profile"));
    expect(stderr).toBe("");
    expect(status).toBe(0);
    const path = join(out, "profile.json");
    expect(stdout).toContain(
      `Profile of steps 6 to 8: ${path}\n  Open it at https://ui.perfetto.dev.`,
    );
    expect(stdout.match(/^ +\d+\.\d\d ms +\d+\.\d % +[\d,]+ x {2}\S/gm)).toHaveLength(10);
    expect(readChromeTrace(path).problems).toEqual([]);
  });

  it("--profile FILE --json tells of the trace in one line, and nothing else on any stream", async () => {
    const cwd = temporaryFolder();
    const args = ["--steps", "2", "--profile", "trace.json.gz", "--json"];
    const { status, stdout, stderr } = await run(training(newFolder(), ...args), { cwd });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    const lines = stdout.trimEnd().split("\n");
    const events = lines.map((line) => JSON.parse(line));
    expect(events.at(-1)).toMatchObject({ event: "end" });
    const [profile, ...more] = events.filter(({ event }) => event === "profile");
    expect(more).toEqual([]);
    expect(profile).toMatchObject({ firstStep: 1, lastStep: 2, microseconds: expect.any(Number) });
    expect(profile.operators[0]).toMatchObject({
      name: expect.any(String),
      count: expect.any(Number),
    });
    expect(profile.path).toBe(join(realpathSync(cwd), "trace.json.gz"));
    expect(readChromeTrace(profile.path).problems).toEqual([]);
  });

  it("--profile goes on without a trace where the disk is too full for one", async () => {
    const out = newFolder();
    // The limit on a file's size stands for the disk's: of the run's files, only the trace is larger, with the many
    // operators of PyTorch's layers.
    const flags = ["--steps", "9", "--kernels", "composed", "--profile"];
    const { status, stdout } = await run(training(out, ...flags), {
      shell: "ulimit -f 400;",
    });
    expect(stdout).toMatch(/^No profile was written\. .*only a part of the trace/m);
    expect(stdout).toMatch(/^Done in /m);
    expect(status).toBe(0);
    expect(readdirSync(out).filter((name) => /profile|tmp/.test(name))).toEqual([]);
  });

  it("makes a new folder in runs/ where none is given", async () => {
    const cwd = temporaryFolder();
    const args = ["--data", data, ...TINY, "--steps", "1"];
    const finished = await Promise.all([
      run(args, { cwd, program: "wavegpt-train" }),
      run([...args, "--model", "gpt"], { cwd, program: "wavegpt-train" }),
    ]);
    expect(finished.map(({ status }) => status)).toEqual([0, 0]);
    expect(readdirSync(join(cwd, "runs")).sort()).toEqual([
      expect.stringMatching(/^\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d-(gpt|wavegpt)$/),
      expect.stringMatching(/^\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d-(gpt|wavegpt)$/),
    ]);
  });

  it("does not overwrite a run unless told to", async () => {
    const out = newFolder();
    expect((await run(training(out, "--steps", "2"))).status).toBe(0);
    const before = readFileSync(join(out, "metrics.jsonl"), "utf8");
    const refused = await run(training(out, "--steps", "3"));
    expect(refused.status).toBe(2);
    expect(refused.stderr).toMatch(/holds a run already.*--resume.*--overwrite/);
    expect(readFileSync(join(out, "metrics.jsonl"), "utf8")).toBe(before);
    expect((await run(training(out, "--steps", "3", "--overwrite"))).status).toBe(0);
    expect(listCheckpoints(join(out, "checkpoints")).map(({ step }) => step)).toEqual([3]);
  });

  it("does not write to a run that another process is training", async () => {
    const out = newFolder();
    const running = start(training(out, "--steps", "100000"));
    await running.until(/^step +5 {2}loss/m);
    for (const flags of [["--resume", out], training(out, "--overwrite").slice(1)]) {
      const { status, stderr } = await run(["train", ...flags]);
      expect(stderr).toContain(`process ${running.child.pid} is training in ${out}`);
      expect(status).toBe(2);
    }
    running.child.kill("SIGKILL");
    await running.finished;
    // The lock of the dead is no hindrance.
    expect((await run(training(out, "--overwrite", "--steps", "1"))).status).toBe(0);
    expect(existsSync(join(out, ".lock"))).toBe(false);
  });

  it("names a device that is not here", async () => {
    const absent = process.platform === "darwin" ? "cuda" : "mps";
    const { status, stderr } = await run([...training(newFolder()), "--device", absent]);
    expect(stderr).toContain(`--device ${absent}: libtorch finds no such device here`);
    expect(status).toBe(2);
  });
});

describe("--cuda-graph", () => {
  it("is refused where steps cannot be captured, before anything is written", async (context) => {
    if (torch.cuda.CUDAGraph.whyUnavailable() === null) context.skip("steps can be captured here");
    const out = newFolder();
    const where = torch.cuda.isAvailable() ? "cuda" : "auto";
    const { status, stderr } = await run([
      ...training(out, "--steps", "1", "--device", where),
      ...["--wavenet", "previous", "--cuda-graph"],
    ]);
    expect(stderr).toMatch(/--cuda-graph\): .*; (the run computes on cpu|.*wavegpt_cuda.*)\./);
    expect(status).toBe(2);
    expect(existsSync(out)).toBe(false);
  });

  it("is a switch of the configuration, and --no-cuda-graph turns it off", async () => {
    const config = join(temporaryFolder(), "graph.toml");
    writeFileSync(config, "cuda-graph = true\n");
    const flags = ["--steps", "1", "--config", config];
    const refused = await run(training(newFolder(), ...flags));
    expect(refused.stderr).toMatch(/--cuda-graph\): .* got cpu/);
    const out = newFolder();
    expect((await run(training(out, ...flags, "--no-cuda-graph"))).status).toBe(0);
    const { settings } = JSON.parse(readFileSync(join(out, "config.json"), "utf8"));
    expect(settings.cudaGraph).toBe(false);
  });
});

describe("a run that is stopped", () => {
  const flags = ["--steps", "400", "--eval-every", "150", "--checkpoint-every", "40"];
  let expected: Record<string, unknown>;

  beforeAll(async () => {
    const out = newFolder();
    expect((await run(training(out, ...flags))).status).toBe(0);
    expected = fingerprint(out);
  });

  async function finish(out: string, going = /^Going on from step \d+$/m): Promise<void> {
    const { status, stdout, stderr } = await run(["train", "--resume", out]);
    expect(stderr).toBe("");
    expect(status).toBe(0);
    expect(stdout).toMatch(going);
    expect(fingerprint(out)).toEqual(expected);
  }

  it.each(["SIGINT", "SIGTERM"] as const)(
    "by %s saves, ends with 130, and goes on bit for bit",
    async (signal) => {
      const out = newFolder();
      const running = start(training(out, ...flags));
      await running.until(/^step +\d*5 {2}loss/m);
      running.child.kill(signal);
      const { status, stdout } = await running.finished;
      expect(status).toBe(130);
      expect(stdout).toMatch(/Finishing the step and saving/);
      const step = Number(/Interrupted after step (\d+) of 400, and saved/.exec(stdout)![1]);
      expect(step).toBeLessThan(400);
      expect(stdout).toContain(`npx wavegpt train --resume ${out}`);
      expect(listCheckpoints(join(out, "checkpoints")).at(-1)!.step).toBe(step);
      await finish(out);
    },
  );

  it("by kill -9 goes on from its last checkpoint, bit for bit", async () => {
    const out = newFolder();
    const running = start(training(out, ...flags));
    await running.until(/^step +\d*[5-9]5 {2}loss/m);
    running.child.kill("SIGKILL");
    expect((await running.finished).signal).toBe("SIGKILL");
    await finish(out);
  });

  it("by kill -9 again and again loses nothing", async () => {
    const out = newFolder();
    let running = start(training(out, ...flags));
    await running.until(/^step +40 {2}loss/m);
    for (const delay of [30, 80, 130]) {
      await new Promise((resolve) => setTimeout(resolve, delay));
      running.child.kill("SIGKILL");
      await running.finished;
      running = start(["train", "--resume", out]);
      await running.until(/^step/m);
    }
    running.child.kill("SIGKILL");
    await running.finished;
    await finish(out, /^Going on from step \d+$|so the run begins anew/m);
  });

  it("by a reader that goes away is saved too", async () => {
    const out = newFolder();
    const running = start(training(out, ...flags));
    await running.until(/^step +5 {2}loss/m);
    running.child.stdout!.destroy();
    expect((await running.finished).status).toBe(130);
    await finish(out);
  });

  it("by a full disk says so, keeps its last checkpoint, and goes on bit for bit", async () => {
    const out = newFolder();
    // The limit on a file's size stands for the disk's: the metrics outgrow it, checkpoints do not.
    const more = [...flags, "--wavenet", "previous", "--log-every", "1"];
    const { status, stderr } = await run(training(out, ...more), { shell: "ulimit -f 68;" });
    expect(stderr).toMatch(/^wavegpt: Cannot write .*: .* \(EFBIG\)\..*--resume/);
    expect(stderr).not.toMatch(/^\s+at /m);
    expect(status).toBe(1);
    expect(listCheckpoints(join(out, "checkpoints")).length).toBeGreaterThan(0);
    const { status: resumed } = await run(["train", "--resume", out]);
    expect(resumed).toBe(0);
    const whole = newFolder();
    await run(training(whole, ...more));
    expect(fingerprint(out)).toEqual(fingerprint(whole));
  });
});

describe("wavegpt generate", () => {
  const out = newFolder();
  beforeAll(async () => {
    expect((await run(training(out, "--steps", "5"))).status).toBe(0);
  });

  it("writes the prompt and as many characters as asked for, the same for a seed", async () => {
    const write = (seed: string) =>
      run(["generate", "--from", out, "--prompt", "the wave", "--tokens", "60", "--seed", seed]);
    const [first, again, other] = await Promise.all([write("1"), write("1"), write("2")]);
    expect(first).toMatchObject({ status: 0, stderr: "" });
    expect(first.stdout).toMatch(/^the wave[\s\S]{60}\n$/);
    expect(again.stdout).toBe(first.stdout);
    expect(other.stdout).not.toBe(first.stdout);
  });

  it("writes as it goes, and ends quietly when nobody reads on", async () => {
    const running = start(["generate", "--from", out, "--tokens", "1000000"]);
    await running.until(/^[\s\S]{20}/);
    running.child.stdout!.destroy();
    expect(await running.finished).toMatchObject({ status: 0, stderr: "" });
  });

  it("names a character of the prompt that the text lacks, and a folder without a model", async () => {
    const [unknown, missing] = await Promise.all([
      run(["generate", "--from", out, "--prompt", "Ω"]),
      run(["generate", "--from", temporaryFolder()]),
    ]);
    expect(unknown).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/--prompt: .*"Ω" \(U\+03A9\)/),
    });
    expect(missing).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/holds no trained model: .* is missing/),
    });
  });

  it("takes a text with characters outside the first plane", async () => {
    const folder = temporaryFolder();
    const path = join(folder, "text.txt");
    writeFileSync(path, smallText().replaceAll("wave", "🌊é"));
    const emoji = join(folder, "run");
    expect(
      (await run(["train", "--data", path, "--out", emoji, ...TINY, "--steps", "2"])).status,
    ).toBe(0);
    const { status, stdout } = await run([
      "generate",
      "--from",
      emoji,
      "--prompt",
      "🌊é",
      "--tokens",
      "50",
    ]);
    expect(status).toBe(0);
    expect([...stdout]).toHaveLength(2 + 50 + 1);
  });
});
