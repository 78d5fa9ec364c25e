import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { addonFiles } from "../addon.mjs";
import { loadLibtorchModule } from "../libtorch.mjs";
import { fail, root, run, runModule } from "../process.mjs";
import { npmPack } from "./npm.mjs";

/** What a clone needs and an installed package does not. */
const OF_A_CLONE = ["scripts", "devDependencies", "binary", "allowScripts"];

/** The package as a release publishes it: no scripts, and libtorch by optional packages of one exact version. */
export function publishedManifest(manifest, { LIBTORCH_VERSION, LIBTORCH_PACKAGES }) {
  const kept = Object.entries(manifest).filter(([key]) => !OF_A_CLONE.includes(key));
  return {
    ...Object.fromEntries(kept),
    optionalDependencies: Object.fromEntries(
      LIBTORCH_PACKAGES.map((name) => [name, LIBTORCH_VERSION]),
    ),
  };
}

/** Of packages whose code becomes part of the addon. */
const COMPILED_IN = { "node-addon-api": "LICENSE.md", "node-api-headers": "LICENSE" };

function requirePrebuilds(platforms) {
  for (const platform of platforms) {
    const files = addonFiles({ platform: platform.split("-")[0] });
    const missing = files.find((file) => !existsSync(path.join(root, "prebuilds", platform, file)));
    if (missing !== undefined) fail(`prebuilds/${platform}/${missing} is not there.`);
  }
}

/** Packs wavegpt with the addon for `platforms`, compiled anew into a folder of its own. @returns the tarball's name */
export async function packWavegpt(out, platforms) {
  requirePrebuilds(platforms);
  const folder = path.join(root, "build", "package", "wavegpt");
  rmSync(folder, { recursive: true, force: true });
  const dist = path.join(folder, "dist");
  // Not the clone's dist/, which keeps what deleted sources once became; and no maps, as the sources stay behind.
  const compiler = ["-p", "tsconfig.build.json", "--outDir", dist, "--sourceMap", "false"];
  const compiled = runModule("typescript/bin/tsc", [
    ...compiler,
    "--incremental",
    "false",
    "--tsBuildInfoFile",
    "null",
  ]);
  if (compiled !== 0) fail("The TypeScript did not compile (see above).");
  const ranks = run(process.execPath, [path.join("scripts", "gpt2-ranks.mjs")]);
  if (ranks !== 0) process.exit(ranks);
  cpSync(path.join(root, "dist", "tokenizer"), path.join(dist, "tokenizer"), { recursive: true });
  for (const platform of platforms) {
    cpSync(path.join(root, "prebuilds", platform), path.join(folder, "prebuilds", platform), {
      recursive: true,
    });
  }
  for (const name of [
    "bin",
    ...readdirSync(root).filter((file) =>
      /^(README|LICENSE|THIRD_PARTY_NOTICES|CHANGELOG)/.test(file),
    ),
  ]) {
    cpSync(path.join(root, name), path.join(folder, name), { recursive: true });
  }
  for (const [name, license] of Object.entries(COMPILED_IN)) {
    const from = path.join(root, "node_modules", name, license);
    cpSync(from, path.join(folder, "licenses", `${name}.txt`));
  }
  const manifest = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8"));
  const published = publishedManifest(manifest, await loadLibtorchModule());
  writeFileSync(path.join(folder, "package.json"), `${JSON.stringify(published, null, 2)}\n`);
  return npmPack(folder, out);
}
