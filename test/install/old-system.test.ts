// @module-tag network

import { beforeAll, describe, expect, test } from "vitest";
import { OldSystem, whyNoOldSystem } from "./old-system.js";
import { packed } from "./packed.js";

const versions = ["20.20.2", "22.23.3", "24.21.0"];

const program = `
  const load = process.features.require_module ? async (name) => require(name) : (name) => import(name);
  Promise.all([load("wavegpt"), load("wavegpt/torch")]).then(([{ CharTokenizer }, { torch }]) =>
    console.log(CharTokenizer.fromText("ab").vocabSize, torch.ones([2, 3]).sum().item()));
`;

describe("Debian 11, with glibc 2.31", () => {
  let reason: string | null;
  beforeAll(() => {
    reason = whyNoOldSystem();
  });

  test.for(versions)("installs and trains on Node %s", async (version, context) => {
    if (reason !== null) context.skip(reason);
    const system = new OldSystem(version);
    try {
      expect(await system.run("node", "--version")).toBe(`v${version}\n`);
      system.write("package.json", '{ "private": true }');
      system.write("text.txt", "To be, or not to be, that is the question.\n".repeat(400));
      system.write("program.cjs", program);
      const tarballs = system.give(packed().all);
      await system.run("npm", "install", "--offline", "--ignore-scripts", ...tarballs);
      const doctor = await system.run("npx", "--offline", "wavegpt", "doctor");
      expect(doctor).toMatch(/glibc 2\.31/);
      const settings = ["--data", "text.txt", "--steps", "20", "--out", "run"];
      await system.run("npx", "--offline", "wavegpt-train", ...settings);
      expect(await system.run("node", "program.cjs")).toBe("2 6\n");
    } finally {
      system.remove();
    }
  });
});
