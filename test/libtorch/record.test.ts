import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { nvidiaRequirements } from "../../lib/libtorch/fetch.js";
import {
  parseRecord,
  requirementsOf,
  sha256OfFile,
  verifyRecords,
} from "../../lib/libtorch/record.js";
import { writeFiles } from "./stub.js";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "wavegpt-record-"));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

test("parseRecord reads paths, quoted paths and hashes", () => {
  const text =
    'torch/a.py,sha256=abc_-1,12\r\n"odd, ""name"".py",sha256=x=,3\ntorch-1.dist-info/RECORD,,\n';
  expect(parseRecord(text)).toEqual([
    { file: "torch/a.py", sha256: "abc_-1" },
    { file: 'odd, "name".py', sha256: "x" },
    { file: "torch-1.dist-info/RECORD", sha256: null },
  ]);
  expect(() => parseRecord("no commas")).toThrow('malformed: "no commas"');
});

test("sha256OfFile agrees with a published value, across pieces", () => {
  // SHA-256 of a million times "a" (FIPS 180-2, appendix B.3)
  const file = path.join(folder, "million");
  writeFileSync(file, "a".repeat(1_000_000));
  expect(sha256OfFile(file)).toBe(
    "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
  );
  const large = "a".repeat((8 << 20) + 1);
  writeFileSync(file, large);
  expect(sha256OfFile(file, "base64url")).toBe(
    createHash("sha256").update(large).digest("base64url"),
  );
});

test("verifyRecords names what is missing or altered, and nothing else", () => {
  const empty = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU";
  const record = `p/a.py,sha256=${empty},0\np/b.py,sha256=${empty},0\np/__pycache__/a.pyc,sha256=${empty},0\n../../bin/tool,sha256=${empty},0\nx.dist-info/RECORD,,\n`;
  writeFiles(folder, { "p/a.py": "", "p/b.py": "", "x.dist-info/RECORD": record });
  expect(verifyRecords(folder)).toEqual([]);
  writeFiles(folder, { "p/a.py": "altered" });
  rmSync(path.join(folder, "p/b.py"));
  expect(verifyRecords(folder)).toEqual([
    expect.stringMatching(/^p\/a\.py: expected SHA-256 47DEQ.*, found /),
    "p/b.py is missing",
  ]);
  rmSync(path.join(folder, "x.dist-info/RECORD"));
  expect(verifyRecords(folder)).toEqual(["x.dist-info has no RECORD"]);
});

test("of a CUDA wheel's requirements, NVIDIA's; without a GPU the two that libtorch_cpu links", () => {
  const cuda = [
    "filelock",
    'cuda-toolkit[cublas,cudart,cupti,nvtx]==13.0.3; platform_system == "Linux"',
    'cuda-bindings<14,>=13.0.3; platform_system == "Linux"',
    'nvidia-cudnn-cu13==9.20.0.48; platform_system == "Linux"',
    'triton==3.7.1; platform_system == "Linux"',
    'nvidia-extra==1; extra == "more"',
  ];
  writeFiles(folder, {
    METADATA: `Name: torch\n${cuda.map((line) => `Requires-Dist: ${line}\n`).join("")}\nText\n`,
  });
  expect(requirementsOf(folder)).toEqual(cuda);
  expect(nvidiaRequirements(cuda, true)).toEqual([cuda[1], cuda[3]]);
  expect(nvidiaRequirements(cuda, false)).toEqual([
    'cuda-toolkit[cudart,cupti]==13.0.3; platform_system == "Linux"',
  ]);
  const older = [
    "nvidia-cuda-runtime-cu12==12.8.90",
    "nvidia-cuda-cupti-cu12==12.8.90",
    "nvidia-cublas-cu12==1",
  ];
  expect(nvidiaRequirements(older, false)).toEqual(older.slice(0, 2));
  expect(nvidiaRequirements(["filelock", "sympy"], true)).toEqual([]);
});
