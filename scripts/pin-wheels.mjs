/**
 * `node scripts/pin-wheels.mjs`, after another version of libtorch: writes lib/libtorch/wheels.ts, the wheels of the
 * package index that libtorch and NVIDIA's libraries come in, each with its size and sums. Of each wheel only its
 * directory, METADATA and RECORD are read.
 */
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { loadLibtorchModule } from "./libtorch.mjs";
import { fail, root, runModule } from "./process.mjs";

const PYTHON = "cp313";
const PLATFORMS = {
  "linux-x64": { tag: /manylinux.*_x86_64/, cuda: true },
  "linux-arm64": { tag: /manylinux.*_aarch64/, cuda: true },
  "darwin-arm64": { tag: /macosx_.*_arm64/, cuda: false },
  "win32-x64": { tag: /win_amd64/, cuda: false },
};
/** What libtorch_cpu of a CUDA build links. */
const FOR_THE_CPU = ["torch", "nvidia-cuda-runtime", "nvidia-cuda-cupti"];

const { LIBTORCH_VERSION } = await loadLibtorchModule();
const compiled = (name) =>
  import(pathToFileURL(path.join(root, "build", "scripts", "lib", ...name.split("/"))).href);
const { RemoteFiles } = await compiled("network/remote-files.js");
const { packageIndex, projectFiles } = await compiled("libtorch/package-index.js");
const { RemoteWheel } = await compiled("libtorch/remote-wheel.js");

const remote = new RemoteFiles();
const index = packageIndex();
const pages = new Map();

async function filesOf(project) {
  if (!pages.has(project)) pages.set(project, await projectFiles(remote, index, project));
  return pages.get(project);
}

/** Whether `version` is what `==1.2` or `==1.2.*` asks for. */
function matches(version, wanted) {
  if (wanted.endsWith(".*")) {
    const prefix = wanted.slice(0, -2);
    return version === prefix || version.startsWith(`${prefix}.`);
  }
  const parts = (text) => text.split(".").map(Number);
  const [left, right] = [parts(version), parts(wanted)];
  return Array.from({ length: Math.max(left.length, right.length) }).every(
    (_, i) => (left[i] ?? 0) === (right[i] ?? 0),
  );
}

async function find(project, version, tag) {
  const found = (await filesOf(project)).filter(({ name }) => {
    if (!name.endsWith(".whl")) return false;
    const parts = name.slice(0, -".whl".length).split("-");
    const [wheelVersion, python, platform] = [parts[1], parts.at(-3), parts.at(-1)];
    if (!matches(wheelVersion, version)) return false;
    return (
      (python === PYTHON || /^py\d/.test(python)) && (platform === "any" || tag.test(platform))
    );
  });
  const best = found.at(-1);
  if (best === undefined) fail(`${index} has no wheel of ${project} ${version} for ${tag}.`);
  return best;
}

async function sizeOf(address) {
  const response = await fetch(address, { method: "HEAD" });
  return Number(response.headers.get("content-length"));
}

async function describe(project, version, tag) {
  const { name, address, sha256 } = await find(project, version, tag);
  const size = await sizeOf(address);
  const wheel = await RemoteWheel.open(remote, address, size);
  const read = async (ending) => {
    const member = wheel.members.find((entry) => entry.name.endsWith(`.dist-info/${ending}`));
    return wheel.read(member);
  };
  const record = createHash("sha256")
    .update(await read("RECORD"))
    .digest("hex");
  const metadata = (await read("METADATA")).toString("utf8");
  const requirements = [...metadata.matchAll(/^Requires-Dist: (.+?)\r?$/gm)].map(
    ([, text]) => text,
  );
  console.error(`${name}: ${size} bytes`);
  return { wheel: { project, file: name, size, sha256, record }, requirements };
}

/** NVIDIA's packages that the requirements name, those of cuda-toolkit's extras resolved; of a range its first. */
async function nvidiaPackages(requirements, tag) {
  const found = [];
  for (const requirement of requirements) {
    const [, project, extras, version] =
      /^([\w.-]+)(?:\[([^\]]*)\])?\s*(?:==|<\d+,>=)\s*([\w.*]+)/.exec(requirement) ?? [];
    if (project === "cuda-toolkit") {
      const toolkit = await describe(project, version, tag);
      const wanted = extras.split(",").map((extra) => extra.trim());
      const chosen = toolkit.requirements.filter((text) =>
        wanted.includes(/extra\s*==\s*['"]([\w-]+)['"]/.exec(text)?.[1]),
      );
      found.push(...(await nvidiaPackages(chosen, tag)));
    } else if (project?.startsWith("nvidia-")) found.push([project, version]);
  }
  return found.filter(([project], i) => found.findIndex(([other]) => other === project) === i);
}

const pinned = {};
for (const [platform, { tag, cuda }] of Object.entries(PLATFORMS)) {
  const { wheel, requirements } = await describe("torch", LIBTORCH_VERSION, tag);
  const all = [wheel];
  if (cuda) {
    for (const [project, version] of await nvidiaPackages(requirements, tag)) {
      all.push((await describe(project, version, tag)).wheel);
    }
  }
  pinned[platform] = {
    cpu: all.filter(({ project }) => FOR_THE_CPU.includes(project)),
    cuda: cuda ? all : [],
  };
}
await remote.close();

const file = path.join(root, "lib", "libtorch", "wheels.ts");
writeFileSync(
  file,
  `// Written by scripts/pin-wheels.mjs for libtorch ${LIBTORCH_VERSION}.
import type { Wheel, WheelBuild } from "./wheel-selection.js";

/** The wheels of the package index that hold libtorch for a platform; none where there is no such build. */
export const WHEELS: Readonly<Record<string, Readonly<Record<WheelBuild, readonly Wheel[]>>>> =
  ${JSON.stringify(pinned, null, 2)};
`,
);
process.exit(runModule("@biomejs/biome/bin/biome", ["check", "--write", file]));
