import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { fetchLibtorch } from "../../lib/libtorch/fetch.js";

let folder: string;

// A disk with 300 MB left: less than libtorch needs.
vi.mock("node:fs", async (original) => ({
  ...(await original<typeof import("node:fs")>()),
  statfsSync: () => ({ bavail: 300_000, bsize: 1000 }),
}));

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "wavegpt-disk-"));
  vi.stubEnv("WAVEGPT_CACHE_DIR", folder);
});

afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

test("too little room is said before anything is fetched: where, how much, and what to do", () => {
  const error = expect.objectContaining({
    code: "ERR_WAVEGPT_LIBTORCH_FETCH",
    message: expect.stringMatching(
      new RegExp(`needs about 1,000 MB in ${folder}.*, where 300 MB are free.*WAVEGPT_CACHE_DIR`),
    ),
  });
  expect(() => fetchLibtorch()).toThrow(error);
  expect(readdirSync(folder)).toEqual([]);
});
