import { readdirSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { packed } from "./packed.js";
import { User } from "./user.js";

/** Long enough for blocks of 64 tokens on both sides of the split. */
const text = "To be, or not to be, that is the question.\n".repeat(400);

let user: User;
let project: string;

beforeAll(async () => {
  user = new User();
  project = user.folder("project", { "package.json": '{ "private": true }', "text.txt": text });
  const tarballs = user.give(packed().all, "packed");
  const flags = ["--offline", "--ignore-scripts"];
  await user.succeed("npm", ["install", ...flags, ...tarballs], { cwd: project });
});

afterAll(() => user.remove());

function folderBytes(folder: string): number {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(path.join(entry.parentPath, entry.name)).size, 0);
}

describe("installed from tarballs, offline and without scripts", () => {
  test("no package has a script to run", () => {
    const lock = JSON.parse(readFileSync(path.join(project, "package-lock.json"), "utf8")) as {
      readonly packages: Record<string, { readonly hasInstallScript?: boolean }>;
    };
    expect(Object.keys(lock.packages)).toContain("node_modules/wavegpt");
    expect(
      Object.entries(lock.packages).filter(([, { hasInstallScript }]) => hasInstallScript),
    ).toEqual([]);
  });

  test("what is downloaded is less than 130 MB, the addon less than 3 MB of it", () => {
    const downloads = packed().all.reduce((sum, file) => sum + statSync(file).size, 0);
    expect(downloads).toBeLessThan(130_000_000);
    const prebuilt = path.join(project, "node_modules", "wavegpt", "prebuilds");
    const addon = readdirSync(prebuilt, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => gzipSync(readFileSync(path.join(entry.parentPath, entry.name))).length)
      .reduce((sum, bytes) => sum + bytes, 0);
    expect(addon).toBeGreaterThan(1_000_000);
    expect(addon).toBeLessThan(3_000_000);
    expect(folderBytes(path.join(project, "node_modules"))).toBeLessThan(500_000_000);
  });

  test("wavegpt doctor finds all in order, with the libtorch that came along", async () => {
    const { output } = await user.succeed("npx", ["--offline", "wavegpt", "doctor"], {
      cwd: project,
    });
    expect(output).toContain(`@wavegpt/libtorch-${process.platform}-${process.arch}`);
  });

  test("wavegpt-train trains, and wavegpt generate writes", async () => {
    const settings = ["--data", "text.txt", "--steps", "20", "--out", "run"];
    const trained = await user.succeed(
      "npx",
      ["--offline", "wavegpt-train", ...settings, "--json"],
      {
        cwd: project,
      },
    );
    const losses = trained.stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { event: string; split?: string; loss?: number })
      .flatMap(({ split, loss }) => (split === "train" && loss !== undefined ? [loss] : []));
    expect(losses.at(-1)).toBeLessThan(losses[0]!);
    const generate = ["wavegpt", "generate", "--from", "run", "--tokens", "20"];
    const generated = await user.succeed("npx", ["--offline", ...generate], { cwd: project });
    expect(generated.stdout.length).toBeGreaterThanOrEqual(20);
  });

  test("an ES module imports it", async () => {
    user.folder("project", {
      "module.mjs": `
        import { CharTokenizer } from "wavegpt";
        import { torch } from "wavegpt/torch";
        console.log(CharTokenizer.fromText("ab").vocabSize, torch.ones([2, 3]).sum().item());`,
    });
    const { stdout } = await user.succeed("node", ["module.mjs"], { cwd: project });
    expect(stdout).toBe("2 6\n");
  });

  test("a CommonJS module requires it, or imports it where Node cannot require ES modules", async () => {
    user.folder("project", {
      "module.cjs": `
        const load = process.features.require_module ? async (name) => require(name) : (name) => import(name);
        Promise.all([load("wavegpt"), load("wavegpt/torch")]).then(([{ CharTokenizer }, { torch }]) =>
          console.log(CharTokenizer.fromText("ab").vocabSize, torch.ones([2, 3]).sum().item()));`,
    });
    const { stdout } = await user.succeed("node", ["module.cjs"], { cwd: project });
    expect(stdout).toBe("2 6\n");
  });
});
