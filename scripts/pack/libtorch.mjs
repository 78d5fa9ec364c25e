import { createHash } from "node:crypto";
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { target } from "../addon.mjs";
import { loadLibtorchModule } from "../libtorch.mjs";
import { fail, root } from "../process.mjs";
import { npmPack } from "./npm.mjs";

/** Bytes; the registry refuses packages of about 230 MB. */
const LARGEST = 200_000_000;

/** The licences' folder of the wheel that `directory` (site-packages/torch) came in. */
function distributionInfo(directory) {
  const parent = path.dirname(directory);
  const name = readdirSync(parent).find((entry) => /^torch-[\w.+]+\.dist-info$/.test(entry));
  if (name === undefined) {
    fail(
      `${directory} is not from a wheel: no torch-*.dist-info, with its licences and sums, lies beside it.`,
    );
  }
  return path.join(parent, name);
}

/** @returns {Map<string, string>} file below site-packages to SHA-256 */
function recordedSums(info) {
  const lines = readFileSync(path.join(info, "RECORD"), "utf8").split(/\r?\n/);
  return new Map(
    lines
      .map((line) => /^(.+),sha256=([\w-]+)=*,\d+$/.exec(line))
      .filter(Boolean)
      .map(([, file, sum]) => [file, sum]),
  );
}

function copyChecked(directory, file, sums, folder) {
  const from = path.join(directory, "lib", file);
  const sum = createHash("sha256").update(readFileSync(from)).digest("base64url");
  const expected = sums.get(`torch/lib/${file}`);
  if (sum !== expected)
    fail(`${from}: expected SHA-256 ${expected} (its wheel's RECORD), found ${sum}.`);
  copyFileSync(from, path.join(folder, "lib", file));
}

function readme(name, version, libraries) {
  return `# ${name}

libtorch ${version} for [wavegpt](https://www.npmjs.com/package/wavegpt): ${libraries.join(", ")}, as they are in PyTorch's own wheel. npm installs it with wavegpt where it fits; there is nothing to import.

PyTorch's licence is in licenses/LICENSE, those of the code within it in licenses/third_party/.${
    libraries.some((library) => library.startsWith("libgomp"))
      ? " libgomp is GCC's OpenMP runtime, GPL-3.0-or-later with the GCC Runtime Library Exception 3.1; its source is at gcc.gnu.org."
      : ""
  }
`;
}

/**
 * Packs the libtorch found on this machine as @wavegpt/libtorch-<platform>-<arch>: the libraries that are needed,
 * compared with the sums of the wheel they came in, and the licences. @returns the tarball's name
 */
export async function packLibtorch(out) {
  const { isWanted, LIBTORCH_VERSION, locateLibtorch, platformPackage } =
    await loadLibtorchModule();
  const { directory, version, build } = locateLibtorch({ headers: true });
  if (version !== LIBTORCH_VERSION || (build !== null && build !== "cpu")) {
    fail(
      `The package wants the CPU build of libtorch ${LIBTORCH_VERSION}; ${directory} is ${version}+${build}. ` +
        `Set WAVEGPT_LIBTORCH to that of the wheel torch==${LIBTORCH_VERSION}+cpu, from PyTorch's own index.`,
    );
  }
  const info = distributionInfo(directory);
  const sums = recordedSums(info);
  const libraries = readdirSync(path.join(directory, "lib")).filter((file) =>
    isWanted({ name: `torch/lib/${file}` }, "torch", "cpu"),
  );
  const folder = path.join(root, "build", "package", `libtorch-${target}`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(path.join(folder, "lib"), { recursive: true });
  for (const file of libraries) copyChecked(directory, file, sums, folder);
  cpSync(path.join(info, "licenses"), path.join(folder, "licenses"), { recursive: true });
  const name = platformPackage();
  writeFileSync(
    path.join(folder, "build-version"),
    `${version}${build === null ? "" : `+${build}`}\n`,
  );
  writeFileSync(path.join(folder, "README.md"), readme(name, version, libraries));
  const { repository } = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8"));
  const manifest = {
    name,
    version,
    description: `libtorch ${version} (CPU${process.platform === "darwin" ? " and Metal" : ""}) for wavegpt on ${target}`,
    license: "BSD-3-Clause",
    os: [process.platform],
    cpu: [process.arch],
    ...(process.platform === "linux" ? { libc: ["glibc"] } : {}),
    // npm takes provenance only where this is the repository that publishes.
    ...(repository === undefined ? {} : { repository }),
    files: ["lib", "licenses", "build-version"],
    preferUnplugged: true,
    publishConfig: { access: "public" },
  };
  writeFileSync(path.join(folder, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
  console.log(`packing ${name}: ${libraries.join(", ")}`);
  const tarball = npmPack(folder, out);
  const { length } = readFileSync(path.join(out, tarball));
  if (length > LARGEST)
    fail(`${tarball} has ${length} bytes; the registry takes about ${LARGEST}.`);
  if (!existsSync(path.join(folder, "licenses", "LICENSE")))
    fail(`${info} has no licenses/LICENSE.`);
  return tarball;
}
