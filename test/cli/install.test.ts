import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { WHEELS } from "../../lib/libtorch/wheels.js";
import { run, temporaryFolder } from "./command.js";

/** An index that lists every project and has, under the names that are wanted, other files. */
const index = createServer((request, response) => {
  const project = /^\/simple\/([^/]+)\/$/.exec(request.url ?? "")?.[1];
  const files = Object.values(WHEELS)
    .flatMap(({ cpu, cuda }) => [...cpu, ...cuda])
    .filter((wheel) => wheel.project === project)
    .map(({ file }) => ({ filename: file, url: `/${file}`, hashes: { sha256: "f".repeat(64) } }));
  response.writeHead(200, { "content-type": "application/vnd.pypi.simple.v1+json" });
  response.end(JSON.stringify({ files }));
});

let environment: NodeJS.ProcessEnv;

beforeAll(async () => {
  await new Promise<void>((resolve) => index.listen(0, "127.0.0.1", resolve));
  environment = {
    WAVEGPT_INDEX_URL: `http://127.0.0.1:${(index.address() as AddressInfo).port}/simple`,
    WAVEGPT_CACHE_DIR: temporaryFolder(),
    WAVEGPT_NO_DOWNLOAD: "",
    NO_PROXY: "127.0.0.1",
  };
});

afterAll(() => index.close());

it.each([
  ["no build", ["install"], /missing required argument 'build'/],
  ["an unknown build", ["install", "rocm"], /'rocm' is invalid.*Allowed choices are cpu, cuda/],
  ["an unknown flag", ["install", "cpu", "--force"], /unknown option '--force'/],
])("%s is bad usage", async (_, args, message) => {
  const { status, stdout, stderr } = await run(args, { env: environment });
  expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
  expect(stderr).toMatch(message);
});

it.each([["cpu"], ["cpu", "--list"]])(
  "install %s %s refuses a mirror's file that is not the one that was published",
  async (...args) => {
    const { status, stderr } = await run(["install", ...args], { env: environment });
    expect(status).toBe(1);
    expect(stderr).toMatch(
      /torch-2\.13\.0-.*\.whl: expected one with SHA-256 [0-9a-f]{64}, the package index has one with f{64}/,
    );
  },
);

it("--offline fetches nothing, before or after the command", async () => {
  for (const args of [
    ["--offline", "install", "cpu"],
    ["install", "cpu", "--offline"],
  ]) {
    const { status, stderr } = await run(args, { env: environment });
    expect(status).toBe(1);
    expect(stderr).toMatch(/libtorch 2\.13\.0 \(cpu\) is not in the cache, and --offline or/);
  }
  const training = await run(["train", "--offline", "--out", join(temporaryFolder(), "run")], {
    env: { ...environment, WAVEGPT_LIBTORCH: "", LIBTORCH: "" },
  });
  expect(training.status).toBe(1);
  expect(training.stderr).toMatch(/was not found.*--offline or WAVEGPT_NO_DOWNLOAD=1 forbids/);
});
