/**
 * `npm run pack:local -- --out DIR`: every tarball that a release publishes for this platform (wavegpt, and the package
 * with its libtorch), and those of wavegpt's dependencies, so that `npm install --offline --ignore-scripts DIR/*.tgz`
 * needs no registry. DIR/packages.json tells them apart.
 *
 *   --only wavegpt,libtorch,dependencies   some of them
 *   --prebuilt linux-x64,darwin-arm64,...  packs prebuilds/ as it is, with these platforms in it, and builds nothing
 */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import { target } from "./addon.mjs";
import { packDependencies } from "./pack/dependencies.mjs";
import { packLibtorch } from "./pack/libtorch.mjs";
import { packWavegpt } from "./pack/wavegpt.mjs";
import { fail, root, run } from "./process.mjs";

const KINDS = ["wavegpt", "libtorch", "dependencies"];
const USAGE =
  "Usage: npm run pack:local -- --out DIR [--only wavegpt,libtorch,dependencies] [--prebuilt PLATFORM,...]";

function usage(message) {
  process.stderr.write(`${message}\n${USAGE}\n`);
  process.exit(2);
}

function options() {
  try {
    const { values } = parseArgs({
      options: {
        out: { type: "string" },
        only: { type: "string", default: KINDS.join() },
        prebuilt: { type: "string" },
      },
    });
    if (!values.out) usage("--out DIR says where the tarballs go.");
    const kinds = values.only.split(",");
    const unknown = kinds.find((kind) => !KINDS.includes(kind));
    if (unknown !== undefined) usage(`--only: expected some of ${KINDS.join()}, got ${unknown}.`);
    return { out: path.resolve(values.out), kinds, prebuilt: values.prebuilt?.split(",") ?? null };
  } catch (error) {
    return usage(error.message);
  }
}

/** Takes away what an earlier run left: `DIR/*.tgz` must not be two versions of one package. */
function emptied(out) {
  mkdirSync(out, { recursive: true });
  const list = path.join(out, "packages.json");
  const before = existsSync(list) ? JSON.parse(readFileSync(list, "utf8")) : {};
  const own = Object.values(before).flat();
  const others = readdirSync(out).filter((name) => name.endsWith(".tgz") && !own.includes(name));
  if (others.length > 0) {
    fail(
      `${out} has tarballs that are not of an earlier run (${others[0]}): name an empty folder.`,
    );
  }
  for (const name of own) rmSync(path.join(out, name), { force: true });
}

const { out, kinds, prebuilt } = options();
emptied(out);
const packages = { published: [], dependencies: [] };
if (kinds.includes("libtorch")) packages.published.push(await packLibtorch(out));
if (kinds.includes("wavegpt")) {
  if (prebuilt === null) {
    const status = run(process.execPath, [path.join("scripts", "prebuild.mjs")]);
    if (status !== 0) process.exit(status);
  }
  packages.published.push(await packWavegpt(out, prebuilt ?? [target]));
}
if (kinds.includes("dependencies")) packages.dependencies.push(...packDependencies(out));
writeFileSync(path.join(out, "packages.json"), `${JSON.stringify(packages, null, 2)}\n`);

let bytes = 0;
for (const [kind, names] of Object.entries(packages)) {
  for (const name of names) {
    const { size } = statSync(path.join(out, name));
    bytes += size;
    console.log(
      `${String(size).padStart(10)} bytes  ${name}${kind === "published" ? "" : " (dependency)"}`,
    );
  }
}
console.log(`${String(bytes).padStart(10)} bytes in ${path.relative(root, out) || out}`);
