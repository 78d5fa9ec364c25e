import { spawnSync } from "node:child_process";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { packageRoot } from "../../lib/package-root.js";
import { packed } from "./packed.js";
import { User } from "./user.js";

/** Everything that tsc can be strict about, and the declarations of the packages checked too. */
const strictest = {
  strict: true,
  skipLibCheck: false,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  noPropertyAccessFromIndexSignature: true,
  noImplicitOverride: true,
  noImplicitReturns: true,
  noFallthroughCasesInSwitch: true,
  noUnusedLocals: true,
  noUnusedParameters: true,
  verbatimModuleSyntax: true,
  erasableSyntaxOnly: true,
  isolatedModules: true,
  noEmit: true,
  // No @types/node: a project need not have it.
  types: [],
  target: "es2022",
};

const program = `
import { CharTokenizer, DataLoader, generate, WaveGPT } from "wavegpt";
import { nn, optim, safetensors, torch, type Tensor } from "wavegpt/torch";

const tokenizer = CharTokenizer.fromText("to be or not");
const loader = new DataLoader({ tokens: tokenizer.encode("to be"), batchSize: 1, blockSize: 2, seed: 1 });
const model = new WaveGPT({ vocabSize: tokenizer.vocabSize, nEmbd: 32, nLayers: 2, blockSize: 2 });
const optimizer = new optim.AdamW(model.parameters(), { lr: 1e-3 });
const { x, previous, previousMask, y } = loader.next();
const { loss } = model.forward(x, { previous, previousMask, targets: y });
loss.backward();
optimizer.step();
export const text: string = [...generate(model, tokenizer, { prompt: "t", tokens: 3, topK: 1 })].join("");
export const sum: Tensor = torch.ones([2, 3]).sum({ dim: 1, keepdim: true });
export const layer: nn.Linear = new nn.Linear(2, 3);
export const weights: Record<string, Tensor> = safetensors.load("model.safetensors");
// @ts-expect-error a shape is a list of numbers
torch.ones(["2"]);
`;

let user: User;
let project: string;

beforeAll(async () => {
  user = new User();
  project = user.folder("project", {
    "package.json": '{ "private": true, "type": "module" }',
    "program.ts": program,
    "program.cts": program,
  });
  const { wavegpt, dependencies } = packed();
  const tarballs = user.give([wavegpt, ...dependencies], "packed");
  await user.succeed("npm", ["install", "--offline", "--omit=optional", ...tarballs], {
    cwd: project,
  });
});

afterAll(() => user.remove());

function compile(options: object, ...files: string[]): string {
  user.folder("project", {
    "tsconfig.json": JSON.stringify({ compilerOptions: { ...strictest, ...options }, files }),
  });
  const tsc = path.join(packageRoot(), "node_modules", "typescript", "bin", "tsc");
  const { stdout } = spawnSync(process.execPath, [tsc, "-p", project], {
    cwd: project,
    encoding: "utf8",
  });
  return stdout;
}

describe("a project of the strictest settings", () => {
  test.each([
    ["nodenext", { module: "nodenext" }],
    ["nodenext, with the newest target", { module: "nodenext", target: "esnext" }],
    ["bundler", { module: "esnext", moduleResolution: "bundler" }],
  ])("compiles: %s", (_, options) => {
    expect(compile(options, "program.ts")).toBe("");
  });

  test("compiles as CommonJS, which requires ES modules", () => {
    // verbatimModuleSyntax would want the import to be written as a require.
    expect(compile({ module: "nodenext", verbatimModuleSyntax: false }, "program.cts")).toBe("");
  });

  test("is told of a mistake", () => {
    user.folder("project", {
      "mistake.ts": 'import { torch } from "wavegpt/torch";\ntorch.ones("2");\n',
    });
    expect(compile({ module: "nodenext" }, "mistake.ts")).toMatch(/^mistake\.ts\(2,\d+\): error/m);
  });
});
