/**
 * Whether the addon in prebuilds/<platform>-<arch>/ runs on other machines than this one: no glibc newer than 2.28, no
 * newer C++ library than libtorch's own, no search paths, no machine's path inside, stripped, instructions of newer
 * processors only where they are chosen at run time, and small. `node scripts/check-prebuild.mjs [--dir DIR]`.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { addonFiles, target } from "./addon.mjs";
import { loadLibtorchModule } from "./libtorch.mjs";
import { fail, root } from "./process.mjs";

/** manylinux_2_28, what PyTorch's wheels are built for. */
const NEWEST_GLIBC = "2.28";
/** Bytes, compressed as npm does, of all the addon's files for one platform. */
const LARGEST = 3_000_000;

const ALLOWED_LIBRARIES = {
  "wavegpt.node": ["libdl.so.2", "libc.so.6"],
  "wavegpt_torch.so": ["libtorch_cpu.so", "libc10.so"],
  "wavegpt_cuda.so": ["libtorch_cpu.so", "libc10.so", "libtorch_cuda.so", "libc10_cuda.so"],
};
/** Of glibc and GCC: those of every distribution. */
const SYSTEM_LIBRARIES =
  /^(lib(c|m|dl|rt|pthread)\.so\.\d|libstdc\+\+\.so\.6|libgcc_s\.so\.1|ld-linux-[\w-]+\.so\.\d)$/;
const CUDA_RUNTIME = /^libcudart\.so\.\d+$/;

function output(program, ...arguments_) {
  const result = spawnSync(program, arguments_, { encoding: "utf8", maxBuffer: 1 << 30 });
  if (result.error || result.status !== 0) {
    fail(`${program} ${arguments_.join(" ")}: ${result.error?.message ?? result.stderr}`);
  }
  return result.stdout;
}

function compareVersions(a, b) {
  const [left, right] = [a, b].map((text) => text.split(".").map(Number));
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** The versioned symbols that a library asks others for: `{ glibc: [["2.14", "memcpy"], ...], ... }`. */
function requiredVersions(file) {
  const found = { GLIBC: [], GLIBCXX: [], CXXABI: [] };
  for (const [, family, version, symbol] of output("objdump", "-T", file).matchAll(
    /\*UND\*.*\((GLIBC|GLIBCXX|CXXABI)_([\d.]+)\)\s+(\S+)/g,
  )) {
    found[family].push([version, symbol]);
  }
  return found;
}

function newest(entries) {
  return (
    entries
      .map(([version]) => version)
      .sort(compareVersions)
      .at(-1) ?? "0"
  );
}

/** The newest versions that libtorch itself asks for, and the folder it lies in. */
async function libtorchLimits() {
  const { locateLibtorch } = await loadLibtorchModule();
  const { directory, libraries } = locateLibtorch({ fetch: false });
  const required = requiredVersions(libraries[0]);
  return { directory, GLIBCXX: newest(required.GLIBCXX), CXXABI: newest(required.CXXABI) };
}

function checkLinux(file, name, limits) {
  const wrong = [];
  const required = requiredVersions(file);
  for (const [family, limit] of [
    ["GLIBC", NEWEST_GLIBC],
    ["GLIBCXX", limits.GLIBCXX],
    ["CXXABI", limits.CXXABI],
  ]) {
    for (const [version, symbol] of required[family]) {
      if (compareVersions(version, limit) > 0) {
        wrong.push(`needs ${symbol} of ${family}_${version}, newer than ${limit}`);
      }
    }
  }
  const dynamic = output("readelf", "-d", "-W", file);
  for (const [, kind, value] of dynamic.matchAll(/\((RPATH|RUNPATH)\).*\[(.*)\]/g)) {
    if (!/^\$ORIGIN(\/[\w./-]*)?(:\$ORIGIN(\/[\w./-]*)?)*$/.test(value)) {
      wrong.push(`has ${kind} ${value}, where only $ORIGIN is allowed`);
    }
  }
  for (const [, library] of dynamic.matchAll(/\(NEEDED\).*\[(.*)\]/g)) {
    const allowed =
      SYSTEM_LIBRARIES.test(library) ||
      ALLOWED_LIBRARIES[name]?.includes(library) ||
      (name === "wavegpt_cuda.so" && CUDA_RUNTIME.test(library));
    if (!allowed) wrong.push(`needs the library ${library}`);
  }
  const sections = output("readelf", "-S", "-W", file);
  if (/\s\.(symtab|debug_info)\s/.test(sections)) wrong.push("is not stripped");
  const glibc = newest(required.GLIBC);
  return { wrong, summary: `glibc ${glibc}, GLIBCXX_${newest(required.GLIBCXX)}` };
}

function checkMac(file) {
  const wrong = [];
  for (const [, library] of output("otool", "-L", file).matchAll(/^\t(\S+) \(/gm)) {
    if (!/^(@rpath|@loader_path|\/usr\/lib\/|\/System\/)/.test(library)) {
      wrong.push(`needs the library ${library}`);
    }
  }
  for (const [, value] of output("otool", "-l", file).matchAll(/\n\s+path (\S+) \(offset/g)) {
    if (!value.startsWith("@loader_path")) wrong.push(`has the rpath ${value}`);
  }
  return { wrong, summary: "" };
}

/** Paths of the machine that built it, which tell of it and are of no use elsewhere. */
function machinePaths(file, directories) {
  const text = readFileSync(file, "latin1");
  const known = directories.filter((directory) => directory.length > 3 && text.includes(directory));
  const general = text.match(/(?:\/home\/|\/Users\/|[A-Z]:\\Users\\)\w[\w.-]*/g) ?? [];
  return [...new Set([...known, ...general])].map((found) => `has the path ${found} inside`);
}

/** Objects built for every x86-64 that have instructions of AVX: a compiler that was told -march=native makes them. */
function tooNewObjects() {
  const objectsOf = (folder) => {
    const directory = path.join(root, "build", "CMakeFiles", `${folder}.dir`);
    if (!existsSync(directory)) return [];
    const names = readdirSync(directory, { recursive: true }).filter((name) => name.endsWith(".o"));
    return names.map((name) => path.join(directory, name));
  };
  const hasAvx = (object) =>
    /\tv[a-z]\w+\s.*%[xyz]mm/.test(output("objdump", "-d", "--no-show-raw-insn", object));
  const objects = ["wavegpt", "wavegpt_torch", "wavegpt_tokenizer", "kernels_DEFAULT"].flatMap(
    objectsOf,
  );
  // Those that are chosen at run time must have some: else the search itself is blind.
  const chosen = objectsOf("kernels_AVX2").filter(hasAvx);
  if (objects.length > 0 && chosen.length === 0)
    fail("objdump showed no instructions of AVX in kernels_AVX2");
  return { count: objects.length, wrong: objects.filter(hasAvx) };
}

const given = process.argv.indexOf("--dir");
const directory =
  given >= 0 ? path.resolve(process.argv[given + 1] ?? "") : path.join(root, "prebuilds", target);
if (!existsSync(directory)) fail(`${directory} is not there: npm run build:prebuild makes it.`);
const files = readdirSync(directory).sort();
const limits = await libtorchLimits();
const problems = [];
const expected = addonFiles({ cuda: files.some((file) => file.startsWith("wavegpt_cuda")) }).sort();
if (expected.join() !== files.join()) {
  problems.push(`expected ${expected.join(", ")} in ${directory}, found ${files.join(", ")}`);
}
let unpacked = 0;
let packed = 0;
for (const name of files) {
  const file = path.join(directory, name);
  const bytes = readFileSync(file);
  const compressed = gzipSync(bytes, { level: 9 }).length;
  const { wrong, summary } =
    process.platform === "linux"
      ? checkLinux(file, name, limits)
      : process.platform === "darwin"
        ? checkMac(file)
        : { wrong: [], summary: "" };
  wrong.push(...machinePaths(file, [root, homedir(), limits.directory]));
  problems.push(...wrong.map((what) => `${name} ${what}`));
  // The kernels for CUDA are measured apart: they are code for several processors of NVIDIA's.
  if (!name.startsWith("wavegpt_cuda")) {
    unpacked += bytes.length;
    packed += compressed;
  }
  console.log(
    `${name}: ${bytes.length} bytes, ${compressed} compressed${summary ? `; ${summary}` : ""}`,
  );
}
console.log(`together ${unpacked} bytes, ${packed} compressed`);
if (packed > LARGEST)
  problems.push(`the addon has ${packed} bytes compressed, at most ${LARGEST} are wanted`);
if (process.platform === "linux" && process.arch === "x64") {
  const { count, wrong } = tooNewObjects();
  problems.push(
    ...wrong.map(
      (object) => `${object} has instructions of AVX outside what is chosen at run time`,
    ),
  );
  console.log(
    `${count} objects for every x86-64 looked through for instructions of AVX: ${wrong.length} have some`,
  );
}
for (const problem of problems) console.error(problem);
process.exit(problems.length === 0 ? 0 : 1);
