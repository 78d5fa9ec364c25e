import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { libraryFile } from "../../lib/libtorch/platform.js";
import { packageRoot } from "../../lib/package-root.js";
import { writeFiles } from "../libtorch/stub.js";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "wavegpt-load-"));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

const at = (name: string) => path.join(folder, name);

/** Imports the compiled library of the package in `root`, in a process of its own. */
function load(root: string, env: NodeJS.ProcessEnv = {}): { status: number | null; error: string } {
  const script = `import(${JSON.stringify(path.join(root, "dist", "lib", "index.js"))})
    .then(({ torch }) => console.log(torch.tensor([1, 2]).sum().item()))
    .catch((error) => { console.error(error.code, error.message); process.exit(1); });`;
  const run = spawnSync(process.execPath, ["-e", script], {
    encoding: "utf8",
    env: { ...process.env, ...env },
  });
  return { status: run.status, error: run.stderr };
}

/** A library named as libtorch's that says it is of this version, and nothing else. */
function makeForeignLibtorch(version: string): string {
  const [major = 0, minor = 0, patch = 0] = version.split(".").map(Number);
  const source = `unsigned long long aoti_torch_abi_version(void) {
    return ${major}ull << 56 | ${minor}ull << 48 | ${patch}ull << 40; }`;
  mkdirSync(at("libtorch/lib"), { recursive: true });
  for (const library of ["torch_cpu", "c10"]) {
    const name = libraryFile(library);
    // The binding asks for it by this name.
    const named = process.platform === "darwin" ? "-install_name,@rpath/" : "-soname,";
    const options = ["-shared", "-fPIC", "-x", "c", "-", `-Wl,${named}${name}`];
    const run = spawnSync("cc", [...options, "-o", at(`libtorch/lib/${name}`)], {
      encoding: "utf8",
      input: source,
    });
    if (run.status !== 0) throw new Error(run.stderr || run.error?.message);
  }
  return at("libtorch");
}

/** The package as it is installed, with the native files of `prebuilt`. */
function makeInstalled(prebuilt: Readonly<Record<string, string | null>>): string {
  const root = at("wavegpt");
  for (const name of ["package.json", "dist"]) {
    cpSync(path.join(packageRoot(), name), path.join(root, name), { recursive: true });
  }
  symlinkSync(path.join(packageRoot(), "node_modules"), path.join(root, "node_modules"));
  for (const [platform, name] of Object.entries(prebuilt)) {
    const target = path.join(root, "prebuilds", platform);
    if (name === null) writeFiles(target, { "wavegpt.node": "not a library" });
    else cpSync(path.join(packageRoot(), "build", "Release"), target, { recursive: true });
  }
  return root;
}

const here = `${process.platform}-${process.arch}`;

describe("the addon, as the package brings it", () => {
  test("is found in prebuilds/ and computes", () => {
    expect(load(makeInstalled({ [here]: "Release" }))).toEqual({ status: 0, error: "" });
  });

  test("where it is missing for this platform: for which there is one", () => {
    const { status, error } = load(makeInstalled({ "plan9-mips": null }));
    expect(status).toBe(1);
    expect(error).toContain(
      `ERR_WAVEGPT_ADDON_NOT_FOUND The native addon for ${here} is not in ${at("wavegpt")}: it has those for plan9-mips.`,
    );
  });

  test("where it is broken: the file, the system's words, and where to look", () => {
    const { status, error } = load(makeInstalled({ [here]: null }));
    expect(status).toBe(1);
    expect(error).toContain("ERR_WAVEGPT_BINDING_LOAD");
    expect(error).toMatch(/prebuilds.*wavegpt\.node could not be opened: /);
    expect(error).toContain("npx wavegpt doctor");
  });
});

describe.runIf(process.platform !== "win32")("a libtorch that no file beside it tells of", () => {
  test.each(["2.12.0", "2.14.1", "1.13.1"])(
    "of version %s is refused before the binding is opened: what was found, where, what is needed",
    (version) => {
      const { status, error } = load(packageRoot(), {
        WAVEGPT_LIBTORCH: makeForeignLibtorch(version),
      });
      expect(status).toBe(1);
      expect(error).toContain("ERR_WAVEGPT_LIBTORCH_VERSION");
      expect(error).toContain(
        `the libtorch in ${at("libtorch")} (from WAVEGPT_LIBTORCH) could not be opened: libtorch ${version} was found, 2.13.0 is needed`,
      );
    },
  );

  test("of the right version that is not whole: the system's words for what is missing", () => {
    const { status, error } = load(packageRoot(), {
      WAVEGPT_LIBTORCH: makeForeignLibtorch("2.13.0"),
    });
    expect(status).toBe(1);
    expect(error).toMatch(/ERR_WAVEGPT_BINDING_LOAD .*(undefined symbol|Symbol not found|libc10)/i);
  });
});
