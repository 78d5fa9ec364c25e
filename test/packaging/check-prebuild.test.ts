import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { glibcVersion } from "../../lib/libtorch/platform.js";
import { packageRoot } from "../../lib/package-root.js";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "wavegpt-prebuild-"));
  for (const name of ["wavegpt.node", "wavegpt_torch.so", "wavegpt_tokenizer.so"]) compile(name);
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A library of one function, as the package's would be if it were built so. */
function compile(name: string, source = "int one(void) { return 1; }", options = ["-s"]): void {
  const file = path.join(folder, name);
  const run = spawnSync("cc", ["-shared", "-fPIC", "-x", "c", "-", "-o", file, ...options], {
    encoding: "utf8",
    input: source,
  });
  if (run.status !== 0) throw new Error(run.stderr || run.error?.message);
}

function check(): { status: number | null; problems: string[] } {
  const script = path.join(packageRoot(), "scripts", "check-prebuild.mjs");
  const run = spawnSync(process.execPath, [script, "--dir", folder], { encoding: "utf8" });
  return { status: run.status, problems: run.stderr.trim().split("\n").filter(Boolean) };
}

describe.runIf(process.platform === "linux")("check-prebuild on libraries that are", () => {
  test("as they should be: nothing", () => {
    expect(check()).toEqual({ status: 0, problems: [] });
  });

  test("with a search path, another library, this machine's path, symbols: each by name", () => {
    compile("wavegpt.node", undefined, ["-s", "-Wl,-rpath,/opt/lib:$ORIGIN"]);
    compile("wavegpt_torch.so", `const char* where = "${homedir()}/build";`, ["-s"]);
    compile("wavegpt_tokenizer.so", undefined, ["-Wl,--no-as-needed", "-l:libutil.so.1"]);
    const { status, problems } = check();
    expect(status).toBe(1);
    expect(problems).toEqual([
      expect.stringMatching(/^wavegpt\.node has (RUNPATH|RPATH) \/opt\/lib:\$ORIGIN, where only/),
      "wavegpt_tokenizer.so needs the library libutil.so.1",
      "wavegpt_tokenizer.so is not stripped",
      `wavegpt_torch.so has the path ${homedir()} inside`,
    ]);
  });

  test("$ORIGIN alone is allowed", () => {
    compile("wavegpt.node", undefined, ["-s", "-Wl,-rpath,$ORIGIN/../lib"]);
    expect(check().status).toBe(0);
  });

  test.runIf(Number(glibcVersion()?.split(".")[1]) >= 34)(
    "linked with functions of this system's glibc: which, of which version",
    () => {
      const source = "#include <dlfcn.h>\nvoid* open(void) { return dlopen(0, 1); }";
      compile("wavegpt.node", source);
      expect(check().problems).toEqual([
        "wavegpt.node needs dlopen of GLIBC_2.34, newer than 2.28",
      ]);
    },
  );

  test("not all there, or more than that", () => {
    rmSync(path.join(folder, "wavegpt_tokenizer.so"));
    compile("wavegpt_other.so");
    expect(check().problems[0]).toMatch(
      /^expected wavegpt\.node, wavegpt_tokenizer\.so, wavegpt_torch\.so in .*, found wavegpt\.node, wavegpt_other\.so, wavegpt_torch\.so$/,
    );
  });
});
