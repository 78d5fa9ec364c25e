import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { packageRoot } from "../lib/package-root.js";

const root = packageRoot();
const readme = readFileSync(path.join(root, "README.md"), "utf8");

describe("the README's example", () => {
  const source = /```ts\n([\s\S]*?)```/.exec(readme)?.[1] ?? "";
  let folder: string;

  beforeAll(() => {
    expect(
      existsSync(path.join(root, "dist", "src", "index.js")),
      "dist/ is built (npm run build:ts)",
    ).toBe(true);
    // Inside the package, "wavegpt" is the package itself, by its own exports.
    mkdirSync(path.join(root, "build"), { recursive: true });
    folder = mkdtempSync(path.join(root, "build", "readme-"));
    writeFileSync(path.join(folder, "example.ts"), source);
    const configuration = {
      extends: path.join(root, "tsconfig.json"),
      compilerOptions: {
        noEmit: false,
        outDir: folder,
        rootDir: folder,
        typeRoots: [path.join(root, "node_modules", "@types")],
      },
      include: [],
      files: [path.join(folder, "example.ts")],
    };
    writeFileSync(path.join(folder, "tsconfig.json"), JSON.stringify(configuration));
  });

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test("is about 20 lines", () => {
    const lines = source.split("\n").filter((line) => line.trim() !== "");
    expect(lines.length).toBeGreaterThan(14);
    expect(lines.length).toBeLessThanOrEqual(22);
  });

  test("compiles under the strictest settings, runs, and learns the line by heart", () => {
    const tsc = path.join(root, "node_modules", "typescript", "bin", "tsc");
    const compiled = spawnSync(process.execPath, [tsc, "-p", folder], { encoding: "utf8" });
    expect(compiled.stdout + compiled.stderr).toBe("");
    const run = spawnSync(process.execPath, [path.join(folder, "example.js")], {
      encoding: "utf8",
      timeout: 50_000,
    });
    expect(run.stderr).toBe("");
    expect(run.status).toBe(0);
    const lines = run.stdout.split("\n");
    const losses = lines.slice(0, 3).map((line) => Number(line.split(" ")[1]));
    expect(lines.slice(0, 3).map((line) => line.split(" ")[0])).toEqual(["50", "100", "150"]);
    expect(losses[2]).toBeLessThan(0.2);
    expect(lines[3]).toBe(" to be, that is the question.");
  });
});

describe("what the README names is there", () => {
  test("every file it links to", () => {
    const links = [...readme.matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)].map(
      (match) => match[1] ?? "",
    );
    expect(links.length).toBeGreaterThan(3);
    for (const link of links) expect(existsSync(path.join(root, link)), link).toBe(true);
  });

  test("every npm script, of the documents too", () => {
    const { scripts } = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8"));
    const development = readFileSync(path.join(root, "docs", "development.md"), "utf8");
    const named = [...(readme + development).matchAll(/npm run ([\w:]+)/g)].map(
      (match) => match[1] ?? "",
    );
    expect(named.length).toBeGreaterThan(5);
    for (const name of named) expect(scripts).toHaveProperty([name]);
  });

  test("every flag and command of the command line", () => {
    const help = (...command: string[]) =>
      spawnSync(process.execPath, [path.join(root, "bin", "wavegpt.js"), ...command, "--help"], {
        encoding: "utf8",
      }).stdout;
    const all = ["train", "prepare", "generate", "compare", "report", "install", "doctor"]
      .map((command) => help(command))
      .join("\n");
    const flags = new Set(
      [...readme.matchAll(/(?<![\w-])--[a-z][a-z-]+/g)].map((match) => match[0]),
    );
    expect(flags.size).toBeGreaterThan(15);
    for (const flag of flags) {
      if (flag !== "--help") expect(all, flag).toContain(`${flag} `);
    }
    const commands = new Set(
      [...readme.matchAll(/`wavegpt (\w+)/g)].map((match) => match[1] ?? ""),
    );
    expect([...commands].sort()).toEqual([
      "compare",
      "doctor",
      "generate",
      "install",
      "prepare",
      "report",
      "train",
    ]);
  });

  test("every variable of the documents is read somewhere in the sources", () => {
    const development = readFileSync(path.join(root, "docs", "development.md"), "utf8");
    const named = new Set(
      [...(readme + development).matchAll(/WAVEGPT_\w+/g)].map((match) => match[0]),
    );
    const files = spawnSync("git", ["ls-files", "lib", "src", "scripts", "test", ".ci", "bin"], {
      cwd: root,
      encoding: "utf8",
    });
    const sources = files.stdout
      .split("\n")
      .filter((file) => /(\.(ts|mjs|js)|run)$/.test(file) && file !== "test/readme.test.ts");
    const text = sources.map((file) => readFileSync(path.join(root, file), "utf8")).join("\n");
    for (const variable of named) expect(text.includes(variable), variable).toBe(true);
  });
});
