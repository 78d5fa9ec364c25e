// @module-tag network

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runNpm } from "./npm.js";
import { packed } from "./packed.js";

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), "wavegpt-declared-"));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What a published program says, which is not among this repository's packages; status 0 where it finds nothing wrong. */
function tool(name: string, ...args: string[]) {
  const { status, stdout } = runNpm("npx", ["--yes", name, ...args], folder);
  return { status, stdout };
}

describe("what package.json declares", () => {
  test("is clean for publint", () => {
    expect(tool("publint@0.3.25", "run", packed().wavegpt, "--strict")).toEqual({
      status: 0,
      stdout: expect.stringContaining("All good!"),
    });
  });

  test("has types that are not wrong, for are-the-types-wrong", () => {
    // Its profile for packages of ES modules, which Node 20.19 and 22.12 require() and older ones import().
    const args = [packed().wavegpt, "--profile", "esm-only"];
    expect(tool("@arethetypeswrong/cli@0.18.5", ...args)).toEqual({
      status: 0,
      stdout: expect.stringContaining('"wavegpt/torch"'),
    });
  });
});
