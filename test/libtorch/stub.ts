import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { libraryFile } from "../../lib/libtorch/platform.js";

/** Writes files below `folder` from a record of relative paths and contents. */
export function writeFiles(folder: string, files: Readonly<Record<string, string>>): void {
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(folder, name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, content);
  }
}

/** A folder laid out as libtorch, with libraries that hold no code: for the search, which opens none. */
export function makeLibtorch(
  folder: string,
  { version = "2.13.0+cpu", headers = true, cuda = false } = {},
): string {
  writeFiles(folder, {
    [`lib/${libraryFile("torch_cpu")}`]: "not a library",
    "version.py": `from typing import Optional\n__version__ = '${version}'\ndebug = False\n`,
    ...(cuda ? { [`lib/${libraryFile("torch_cuda")}`]: "not a library" } : {}),
    ...(headers ? { "include/ATen/ATen.h": "#pragma once\n" } : {}),
  });
  return folder;
}

const BUILD_WHEEL = `
import base64, hashlib, json, sys, zipfile
folder, name, version, files, requirements, spoil = json.load(sys.stdin)
info = f"{name}-{version}.dist-info"
dashed = name.replace("_", "-")
files = dict(files)
files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\\nName: {dashed}\\nVersion: {version}\\n" + "".join(f"Requires-Dist: {r}\\n" for r in requirements)
files[f"{info}/WHEEL"] = "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: false\\nTag: py3-none-any\\n"
record = ""
for path, content in files.items():
    digest = base64.urlsafe_b64encode(hashlib.sha256(content.encode()).digest()).rstrip(b"=").decode()
    record += f"{path},sha256={digest},{len(content.encode())}\\n"
record += f"{info}/RECORD,,\\n"
with zipfile.ZipFile(f"{folder}/{name}-{version}-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
    for path, content in files.items():
        wheel.writestr(path, content + ("spoilt" if path == spoil else ""))
    wheel.writestr(f"{info}/RECORD", record)
`;

/** Packs a wheel that pip installs: what an index would give, without the 200 MB. */
export function makeWheel(
  python: string,
  folder: string,
  wheel: {
    name: string;
    version: string;
    files: Readonly<Record<string, string>>;
    requirements?: readonly string[];
    /** A file whose content is to differ from what RECORD says. */
    spoil?: string;
  },
): void {
  mkdirSync(folder, { recursive: true });
  const { name, version, files, requirements = [], spoil = "" } = wheel;
  const input = JSON.stringify([folder, name, version, files, requirements, spoil]);
  const run = spawnSync(python, ["-c", BUILD_WHEEL], { encoding: "utf8", input });
  if (run.status !== 0) throw new Error(run.stderr || run.error?.message);
}

/** The files of a small wheel named torch. */
export function torchFiles(version: string, cuda = false): Record<string, string> {
  return {
    [`torch/lib/${libraryFile("torch_cpu")}`]: "not a library",
    ...(cuda ? { [`torch/lib/${libraryFile("torch_cuda")}`]: "not a library" } : {}),
    "torch/include/ATen/ATen.h": "#pragma once\n",
    "torch/version.py": `__version__ = '${version}'\n`,
  };
}
