import { Worker } from "node:worker_threads";
import { afterEach, expect, test } from "vitest";
import { torch } from "../../lib/index.js";
import { LIBTORCH_VERSION } from "../../lib/libtorch/version.js";
import { packageRoot } from "../../lib/package-root.js";

const threads = torch.getNumThreads();
afterEach(() => torch.setNumThreads(threads));

test("threads are counted and set", () => {
  torch.setNumThreads(1);
  expect(torch.getNumThreads()).toBe(1);
  expect(torch.getNumInteropThreads()).toBeGreaterThan(0);
  expect(() => torch.setNumThreads(0)).toThrow(/'count' expected an integer above 0, got number 0/);
  expect(() => torch.setNumInteropThreads(1.5)).toThrow(/got number 1\.5/);
});

test("versions and the build are told", () => {
  const build = torch.buildInformation();
  expect(torch.version).toBe(LIBTORCH_VERSION);
  expect(build.libtorch.startsWith(torch.version)).toBe(true);
  expect(build.config).toMatch(/PyTorch/i);
});

test("devices are counted", () => {
  expect(torch.cuda.deviceCount() > 0).toBe(torch.cuda.isAvailable());
  expect(torch.mps.isAvailable()).toBe(process.platform === "darwin" && process.arch === "arm64");
  if (!torch.cuda.isAvailable()) expect(() => torch.ones([1], { device: "cuda" })).toThrow(/cuda/i);
});

test("memory counts live handles and the bytes behind them", () => {
  const before = torch.memory();
  const x = torch.zeros([1000]);
  const view = x.at("10:");
  const after = torch.memory();
  expect([after.handles - before.handles, after.bytes - before.bytes]).toEqual([2, 4000]);
  view.dispose();
  x.dispose();
  expect(torch.memory()).toMatchObject({ handles: before.handles, bytes: before.bytes });
});

test("deterministic algorithms can be demanded", () => {
  torch.useDeterministicAlgorithms(true);
  expect(torch.areDeterministicAlgorithmsEnabled()).toBe(true);
  torch.useDeterministicAlgorithms(false, { warnOnly: true });
  expect(torch.areDeterministicAlgorithmsEnabled()).toBe(false);
});

test("a worker thread has tensors, scopes and modes of its own", async () => {
  const source = `
    import { parentPort } from "node:worker_threads";
    import { torch } from ${JSON.stringify(`file://${packageRoot()}/dist/lib/index.js`)};
    torch.setGradEnabled(false);
    const scope = torch.scope();
    const x = torch.ones([3]).add(1);
    parentPort.postMessage({ values: x.tolist(), depth: torch.scopeDepth(), handles: torch.memory().handles, grad: torch.isGradEnabled() });
  `;
  const own = torch.ones([2]);
  const handles = torch.memory().handles;
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`));
  const message = await new Promise((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
  });
  await worker.terminate();
  expect(message).toEqual({ values: [2, 2, 2], depth: 1, handles: 2, grad: false });
  expect([torch.scopeDepth(), torch.isGradEnabled(), torch.memory().handles, own.tolist()]).toEqual(
    [0, true, handles, [1, 1]],
  );
});
