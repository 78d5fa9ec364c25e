/** Formats the C and C++ of binding/ and bench/ (LLVM's clang-format from the package clang-format-node): `--write`, or a check that changes nothing. */
import { fail, runModule, trackedFiles } from "./process.mjs";

const files = trackedFiles(
  "binding/**/*.c",
  "binding/**/*.cc",
  "binding/**/*.h",
  "binding/**/*.cu",
  "binding/**/*.cuh",
  "binding/*.c",
  "binding/*.cc",
  "binding/*.h",
  "bench/**/*.cc",
);
if (files.length === 0) fail("clang-format: no source was found in binding/.");
const mode = process.argv.includes("--write") ? ["-i"] : ["--dry-run", "-Werror"];
process.exit(runModule("clang-format-node/build/cli.js", [...mode, "--style=file", ...files]));
