/**
 * `npm run check:cuda`: compiles and links the kernels for CUDA (wavegpt_cuda) alone, in build/cuda, and runs nothing of
 * them: no device is needed. Needs nvcc, and `WAVEGPT_CUDA_LIBTORCH` to be a libtorch with CUDA, of any version.
 */
import { existsSync, rmSync } from "node:fs";
import path from "node:path";
import { fail, findProgram, root, run } from "./process.mjs";

const libtorch = process.env.WAVEGPT_CUDA_LIBTORCH;
if (!libtorch || !existsSync(path.join(libtorch, "include", "ATen", "ATen.h"))) {
  fail(
    "WAVEGPT_CUDA_LIBTORCH must be a folder with include/ and lib/ of libtorch's CUDA build, such as site-packages/torch; " +
      `it is ${libtorch || "not set"}.`,
  );
}
for (const name of ["cmake", ...(process.env.CUDACXX ? [] : ["nvcc"])]) {
  if (findProgram(name) === null) fail(`${name} was not found on the PATH.`);
}

const build = path.join(root, "build", "cuda");
rmSync(build, { recursive: true, force: true });
const configure = [
  ...["-S", root, "-B", build, ...(findProgram("ninja") === null ? [] : ["-G", "Ninja"])],
  `-DLIBTORCH=${path.resolve(libtorch).replaceAll("\\", "/")}`,
  "-DWAVEGPT_ANY_TORCH=ON",
  "-DWAVEGPT_CUDA=ON",
];
if (run("cmake", configure) !== 0) fail("CMake could not configure the build (see above).");
const jobs = process.env.CMAKE_BUILD_PARALLEL_LEVEL ?? "1";
if (run("cmake", ["--build", build, "--target", "wavegpt_cuda", "--parallel", jobs]) !== 0) {
  fail("The kernels for CUDA did not compile (see above).");
}
console.log("wavegpt: build/cuda holds wavegpt_cuda: compiled and linked, not run.");
