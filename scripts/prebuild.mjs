/**
 * `npm run build:prebuild [-- --cuda]`: the addon as the package carries it, in prebuilds/<platform>-<arch>/ (the layout of
 * prebuildify, in which node-gyp-build finds it): built by build-binding.mjs, stripped, its symbols kept apart in
 * build/symbols/<platform>-<arch>/, then checked by check-prebuild.mjs. `--cuda` brings wavegpt_cuda too.
 */
import { copyFileSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { promisify } from "node:util";
import { addonFiles, loaderFile, target } from "./addon.mjs";
import { fail, root, run } from "./process.mjs";

const prebuildify = promisify(createRequire(import.meta.url)("prebuildify"));
const prebuilds = path.join(root, "prebuilds", target);
const symbols = path.join(root, "build", "symbols", target);
const cuda = process.argv.includes("--cuda");

/** prebuildify calls it as it would node-gyp, with further arguments that mean nothing to it. */
const compiler = `"${process.execPath}" "${path.join(root, "scripts", "build-binding.mjs")}"`;

function tool(name, ...arguments_) {
  const status = run(name, arguments_);
  if (status !== 0) fail(`${name} ${arguments_.join(" ")} ended with exit status ${status}.`);
}

/** A library's symbols go into a file of their own, which debuggers find by the name and sum that stay behind. */
function separateSymbols(file) {
  const library = path.join(prebuilds, file);
  const kept = path.join(symbols, `${file}.debug`);
  if (process.platform === "linux") {
    tool("objcopy", "--only-keep-debug", library, kept);
    tool("strip", "--strip-all", library);
    tool("objcopy", `--add-gnu-debuglink=${kept}`, library);
  } else if (process.platform === "darwin") {
    copyFileSync(library, kept);
    tool("strip", "-Sx", library);
  }
}

for (const folder of [prebuilds, symbols]) rmSync(folder, { recursive: true, force: true });
mkdirSync(symbols, { recursive: true });
await prebuildify({
  cwd: root,
  name: "wavegpt",
  napi: true,
  targets: [process.versions.node],
  nodeGyp: cuda ? `${compiler} --cuda` : compiler,
  shell: true,
}).catch((error) => fail(`prebuildify: ${error.message}`));
// prebuildify moves the loader away; a clone's own build stays whole.
copyFileSync(path.join(prebuilds, loaderFile), path.join(root, "build", "Release", loaderFile));

const wanted = addonFiles({ cuda });
for (const name of readdirSync(prebuilds)) {
  if (!wanted.includes(name)) rmSync(path.join(prebuilds, name));
}
for (const file of wanted) separateSymbols(file);
const checked = run(process.execPath, [path.join("scripts", "check-prebuild.mjs")]);
if (checked !== 0) process.exit(checked);
