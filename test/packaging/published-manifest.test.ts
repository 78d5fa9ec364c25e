import { readFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import * as libtorch from "../../lib/libtorch/index.js";
import { WHEELS } from "../../lib/libtorch/wheels.js";
import { packageRoot } from "../../lib/package-root.js";

const script = new URL("../../scripts/pack/wavegpt.mjs", import.meta.url).href;
const { publishedManifest } = await import(script);
const own = JSON.parse(readFileSync(path.join(packageRoot(), "package.json"), "utf8"));
const published = publishedManifest(own, libtorch);

test("a user's install has no script to run and nothing to build with", () => {
  for (const key of ["scripts", "devDependencies", "binary", "allowScripts"]) {
    expect(own).toHaveProperty(key);
    expect(published).not.toHaveProperty(key);
  }
  // npm runs node-gyp where a package has a binding.gyp, script or not.
  expect(published.files).not.toContain("binding.gyp");
});

test("libtorch comes by optional packages of the version that the addon is built for, one for each platform", () => {
  expect(published.optionalDependencies).toEqual(
    Object.fromEntries(
      Object.keys(WHEELS).map((platform) => [
        `@wavegpt/libtorch-${platform}`,
        libtorch.LIBTORCH_VERSION,
      ]),
    ),
  );
  // A clone asks no registry for them.
  expect(own).not.toHaveProperty("optionalDependencies");
});

test("every dependency is of one exact version", () => {
  for (const version of Object.values(published.dependencies)) {
    expect(version).toMatch(/^\d+\.\d+\.\d+$/);
  }
});
