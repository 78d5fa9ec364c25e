// @module-tag network

import { existsSync, readdirSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { LocalRegistry } from "./local-registry.js";
import { networkEnvironment } from "./network.js";
import { packed } from "./packed.js";
import { User } from "./user.js";

let registry: LocalRegistry;
let user: User;
let project: string;

beforeAll(async () => {
  registry = await LocalRegistry.start();
  user = new User();
  project = user.folder("project");
});

afterAll(() => {
  user?.remove();
  registry?.stop();
});

describe("published to a registry", () => {
  test("libtorch's package goes first, and nothing goes twice", () => {
    const names = (printed: string) => printed.match(/^\S+(?=@)/gm);
    const first = registry.publish(inject("packed"));
    expect(names(first)).toHaveLength(packed().all.length);
    expect(names(first)!.at(-1)).toBe("wavegpt");
    const second = registry.publish(inject("packed"));
    expect(second.match(/: there already$/gm)).toHaveLength(packed().all.length);
  });

  test("npm i wavegpt brings the addon and this platform's libtorch, and no other's", async () => {
    await user.succeed("npm", ["install", "wavegpt"], {
      cwd: project,
      env: { npm_config_registry: registry.address },
    });
    const modules = path.join(project, "node_modules");
    const platform = `${process.platform}-${process.arch}`;
    expect(readdirSync(path.join(modules, "@wavegpt"))).toEqual([`libtorch-${platform}`]);
    expect(existsSync(path.join(modules, "wavegpt", "prebuilds", platform, "wavegpt.node"))).toBe(
      true,
    );
  });

  test("npx wavegpt-train --steps 20 trains", async () => {
    // Where the corpus is not here, it is fetched as for anybody.
    const data = process.env.WAVEGPT_DATA_DIR;
    const { output } = await user.succeed("npx", ["wavegpt-train", "--steps", "20"], {
      cwd: project,
      env: data === undefined ? networkEnvironment() : { WAVEGPT_DATA_DIR: data },
    });
    expect(output).toMatch(/20/);
    const [run] = readdirSync(path.join(project, "runs"));
    expect(readdirSync(path.join(project, "runs", run!))).toEqual(
      expect.arrayContaining(["model.safetensors", "metrics.jsonl", "report.html"]),
    );
  });
});
