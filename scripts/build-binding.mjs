/**
 * Builds the native addon: build/Release/wavegpt.node (the loader), and beside it wavegpt_torch.{so,dylib,dll} and
 * wavegpt_tokenizer (which needs no libtorch).
 * Incremental; `--clean` starts anew, `--debug` builds for a debugger, `--cuda` builds the kernels for CUDA beside it
 * (wavegpt_cuda; needs nvcc and a libtorch with CUDA). Nothing is downloaded but libtorch, where the machine has none: Node-API's headers come from the package node-api-headers (package.json's
 * `binary.napi_versions` tells cmake-js so).
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, totalmem } from "node:os";
import path from "node:path";
import { addonFiles } from "./addon.mjs";
import { locateLibtorch } from "./libtorch.mjs";
import { fail, findProgram, root, runModule } from "./process.mjs";

const HOW_TO_INSTALL = {
  linux: "Debian and Ubuntu: apt-get install cmake g++ (ninja-build and ccache make it faster).",
  darwin: "macOS: xcode-select --install, and cmake (brew install cmake ninja).",
  win32: "Windows: Visual Studio's Build Tools with 'Desktop development with C++', and CMake.",
};

function requireTools() {
  const missing = [];
  if (findProgram("cmake") === null) missing.push("cmake (3.18 or newer)");
  // Visual Studio's compiler is not on the PATH: cmake-js looks for it and says so itself.
  if (process.platform !== "win32") {
    if (["g++", "clang++", "c++"].every((name) => findProgram(name) === null)) {
      missing.push("a C++20 compiler (g++ 11 or clang++ 14, or newer)");
    }
    if (findProgram("ninja") === null && findProgram("make") === null) {
      missing.push("ninja or make");
    }
  }
  if (!existsSync(path.join(root, "node_modules", "cmake-js"))) {
    missing.push("the development packages (npm install, without --omit=dev)");
  }
  if (missing.length === 0) return;
  fail(
    `The native addon cannot be built, as this was not found: ${missing.join("; ")}.\n${HOW_TO_INSTALL[process.platform] ?? ""}`,
  );
}

/** One compiler takes up to 1.5 GB on libtorch's headers: as many at once as memory allows. */
function parallelJobs() {
  if (process.env.CMAKE_BUILD_PARALLEL_LEVEL) return process.env.CMAKE_BUILD_PARALLEL_LEVEL;
  return String(Math.max(1, Math.min(availableParallelism(), Math.floor(totalmem() / 2e9))));
}

/** What CMake fixed when it configured: where this differs from the last time, the folder is made anew. */
function configurationStamp(libtorch, configuration, cuda) {
  return JSON.stringify({
    root,
    libtorch: libtorch.directory,
    version: libtorch.version,
    configuration,
    ninja: findProgram("ninja") !== null,
    ccache: findProgram("ccache") !== null,
    cmake: findProgram("cmake"),
    compiler: [process.env.CC ?? null, process.env.CXX ?? null, process.env.CXXFLAGS ?? null],
    anyTorch: process.env.WAVEGPT_ANY_TORCH ?? null,
    cuda: cuda ? [process.env.CUDACXX ?? null, process.env.CUDAARCHS ?? null] : null,
  });
}

function removeBuild(build) {
  for (const name of [
    "CMakeCache.txt",
    "CMakeFiles",
    "Release",
    "Debug",
    "build.ninja",
    "Makefile",
  ]) {
    rmSync(path.join(build, name), { recursive: true, force: true });
  }
}

requireTools();
const configuration = process.argv.includes("--debug") ? "Debug" : "Release";
const build = path.join(root, "build");
const libtorch = await locateLibtorch({ headers: true });
console.error(
  `wavegpt: building the addon against libtorch ${libtorch.version} of ${libtorch.origin}`,
);

const stampFile = path.join(build, "configuration.json");
const cuda = process.argv.includes("--cuda");
if (cuda && !process.env.CUDACXX && findProgram("nvcc") === null) {
  fail("--cuda needs nvcc, CUDA's compiler, on the PATH or named by CUDACXX.");
}
const stamp = configurationStamp(libtorch, configuration, cuda);
const before = existsSync(stampFile) ? readFileSync(stampFile, "utf8") : "";
const fresh = process.argv.includes("--clean") || before !== stamp;
if (fresh) removeBuild(build);
mkdirSync(build, { recursive: true });

const options = [configuration === "Debug" ? "--debug" : "", "--out", "build"].filter(Boolean);
const environment = {
  ...process.env,
  // The headers are compiled first (precompiled): ccache then has to be told that their dates do not matter,
  // and that the same file in another clone is the same.
  CCACHE_SLOPPINESS: process.env.CCACHE_SLOPPINESS ?? "pch_defines,time_macros",
  CCACHE_BASEDIR: process.env.CCACHE_BASEDIR ?? root,
};
const cmakeJs = "cmake-js/bin/cmake-js";
if (fresh) {
  rmSync(stampFile, { force: true });
  const definitions = [`--CDLIBTORCH=${libtorch.directory.replaceAll("\\", "/")}`];
  if (process.env.WAVEGPT_ANY_TORCH === "1") definitions.push("--CDWAVEGPT_ANY_TORCH=ON");
  definitions.push(`--CDWAVEGPT_CUDA=${cuda ? "ON" : "OFF"}`);
  const status = runModule(cmakeJs, ["configure", ...options, ...definitions], {
    env: environment,
  });
  if (status !== 0) {
    fail(
      `CMake could not configure the build (see above).\n${HOW_TO_INSTALL[process.platform] ?? ""}`,
    );
  }
  writeFileSync(stampFile, stamp);
}
const status = runModule(cmakeJs, ["build", ...options, "--parallel", parallelJobs()], {
  env: environment,
});
if (status !== 0) fail("The native addon did not compile (see above).");

const files = addonFiles({ cuda });
for (const name of files) {
  if (!existsSync(path.join(build, configuration, name))) {
    fail(`The build ended without build/${configuration}/${name}.`);
  }
}
console.error(`wavegpt: ${files.join(", ")} in build/${configuration} are up to date`);
