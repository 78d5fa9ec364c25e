// @module-tag gpu

import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { torch } from "../../lib/index.js";
import { train } from "../../src/train.js";
import { smallTextFile, temporaryFolder } from "../cli/command.js";
import { tinySettings } from "./tiny-run.js";

const data = smallTextFile();
const newFolder = () => join(temporaryFolder(), "run");

// In a process of its own, where the collector finds nothing of other tests to free.
describe("a run", () => {
  it("has flat memory from step to step, evaluations, samples and checkpoints included", async () => {
    const seen: { handles: number; bytes: number }[] = [];
    await train(tinySettings(data, { steps: 60 }), {
      out: newFolder(),
      onEvent: (event) => {
        if (event.type === "step" && event.step >= 10) seen.push(torch.memory());
      },
    });
    expect(seen.length).toBe(51);
    expect(new Set(seen.map(({ handles }) => handles)).size).toBe(1);
    expect(new Set(seen.map(({ bytes }) => bytes)).size).toBe(1);
  });

  it("leaves no tensor behind", async () => {
    await train(tinySettings(data, { steps: 2 }), { out: newFolder() });
    const before = torch.memory();
    await train(tinySettings(data, { steps: 12 }), { out: newFolder() });
    expect(torch.memory().handles).toBe(before.handles);
    expect(torch.memory().scopes).toBe(0);
  });
});
