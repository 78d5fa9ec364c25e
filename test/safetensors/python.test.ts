import { readFileSync } from "node:fs";
import path from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { type DType, safetensors, type Tensor, torch } from "../../lib/index.js";
import { inTemporaryFolder } from "../nn/pytorch.js";
import { python } from "../python.js";

const DTYPES: readonly DType[] = [
  "bool",
  "uint8",
  "int8",
  "int16",
  "int32",
  "int64",
  "uint16",
  "uint32",
  "uint64",
  "float16",
  "bfloat16",
  "float32",
  "float64",
  "complex64",
  "float8_e4m3fn",
  "float8_e5m2",
  "float8_e4m3fnuz",
  "float8_e5m2fnuz",
  "float8_e8m0fnu",
];

/** Python's safetensors cannot read this one dtype that it writes. */
const UNREADABLE = "float8_e8m0fnu";

/** Files that Python writes: every dtype, odd shapes and names, metadata. */
const PYTHON = `
import sys, torch
from safetensors.torch import save_file
folder = sys.argv[1]
bytes_ = torch.arange(0, 48, dtype=torch.uint8)
def of(name):
    if name == "bool": return (bytes_ % 3 == 0).reshape(2, 24)
    return bytes_.clone().view(getattr(torch, name)).reshape(2, -1)
names = ${JSON.stringify(DTYPES)}
for n in names: save_file({n: of(n)}, f"{folder}/{n}.safetensors")
save_file({n: of(n) for n in names}, f"{folder}/all.safetensors", metadata={"format": "pt"})
save_file({
    "scalar": torch.tensor(2.5), "empty": torch.empty(0, 3), "": torch.ones(1), "b": torch.ones(3, dtype=torch.int8),
    "a": torch.ones(5, dtype=torch.int8), "\\u00e9\\n\\x01\\x7f\\"\\\\/": torch.ones(1), "\\U0001F600": torch.ones(1),
    "\\ufffd": torch.ones(1), "__proto__": torch.ones(2), "3": torch.ones(1), "weights.0.bias": torch.zeros(2, 2, dtype=torch.bfloat16),
    "zero.dim.0": torch.empty(2, 0, 4, dtype=torch.float64),
}, f"{folder}/odd.safetensors")
save_file({}, f"{folder}/nothing.safetensors")
save_file({"a": torch.ones(2)}, f"{folder}/metadata.safetensors", metadata={"k\\u00e9y": "va\\"l\\nue"})
`;

const FILES = [...DTYPES, "all", "odd", "nothing", "metadata"];

/** Loads each file that we wrote again in Python, and writes it anew. */
const REWRITE = `
import json, sys
from safetensors import safe_open
from safetensors.torch import load_file, save_file
folder = sys.argv[1]
for name in ${JSON.stringify(FILES.filter((name) => name !== UNREADABLE && name !== "all"))}:
    with safe_open(f"{folder}/{name}.safetensors", "pt") as f: metadata = f.metadata()
    save_file(load_file(f"{folder}/{name}.safetensors"), f"{folder}/{name}.safetensors", metadata=metadata)
print(json.dumps(safe_open(f"{folder}/several.safetensors", "pt").metadata()))
`;

/** More than one entry: Python's package writes them in no certain order. */
const ENTRIES = { b: "1", a: "2", "": "é" };
const several: { ours?: unknown; theirs?: unknown } = {};

interface Written {
  name: string;
  theirs: Buffer;
  ours: Buffer;
  serialized: Uint8Array;
  again: Buffer;
}

const written = new Map<string, Written>();

beforeAll(() => {
  inTemporaryFolder((folder) => {
    python(PYTHON, folder);
    const originals = FILES.map((name) => readFileSync(path.join(folder, `${name}.safetensors`)));
    for (const [index, name] of FILES.entries()) {
      const file = path.join(folder, `${name}.safetensors`);
      const { tensors, metadata } = safetensors.loadWithMetadata(file);
      const given = Object.keys(metadata).length > 0 ? metadata : undefined;
      // In an order of our own: the file's is not the caller's.
      const shuffled = Object.fromEntries(Object.entries(tensors).reverse());
      safetensors.save(file, shuffled, given);
      const serialized = safetensors.serialize(tensors, given);
      written.set(name, {
        name,
        theirs: originals[index] as Buffer,
        ours: readFileSync(file),
        serialized,
        again: Buffer.alloc(0),
      });
    }
    const file = path.join(folder, "several.safetensors");
    safetensors.save(file, { x: torch.ones([1]) }, ENTRIES);
    several.ours = safetensors.metadata(file);
    several.theirs = JSON.parse(python(REWRITE, folder));
    for (const [name, entry] of written) {
      entry.again = readFileSync(path.join(folder, `${name}.safetensors`));
    }
  });
});

describe("safetensors and Python's package", () => {
  it.each(FILES)("read and write back each other's %s byte for byte", (name) => {
    const { theirs, ours, serialized, again } = written.get(name) as Written;
    expect(ours.equals(theirs)).toBe(true);
    expect(Buffer.from(serialized).equals(theirs)).toBe(true);
    expect(again.equals(theirs)).toBe(true);
  });

  it("agree on values", () => {
    const { tensors } = safetensors.deserialize((written.get("all") as Written).theirs);
    const values = (dtype: DType): unknown => (tensors[dtype] as Tensor).flatten().tolist();
    const bytes = Uint8Array.from({ length: 48 }, (_, index) => index);
    expect(values("uint8")).toEqual([...bytes]);
    expect(values("float32")).toEqual([...new Float32Array(bytes.buffer)]);
    expect(values("float64")).toEqual([...new Float64Array(bytes.buffer)]);
    expect((values("int64") as bigint[]).map(BigInt)).toEqual([...new BigInt64Array(bytes.buffer)]);
    expect(values("int16")).toEqual([...new Int16Array(bytes.buffer)]);
    expect(tensors.bfloat16?.float().flatten().tolist()).toEqual([
      ...new Float32Array(
        Uint32Array.from(new Uint16Array(bytes.buffer), (bits) => bits << 16).buffer,
      ),
    ]);
    expect((values("bool") as boolean[]).slice(0, 4)).toEqual([true, false, false, true]);
  });

  it("agree on odd names and shapes", () => {
    const { tensors } = safetensors.deserialize((written.get("odd") as Written).theirs);
    expect(tensors.scalar?.item()).toBe(2.5);
    expect(tensors.scalar?.shape).toEqual([]);
    expect(tensors.empty?.shape).toEqual([0, 3]);
    expect(tensors["zero.dim.0"]?.shape).toEqual([2, 0, 4]);
    expect(Object.hasOwn(tensors, "__proto__")).toBe(true);
    expect(Object.getOwnPropertyDescriptor(tensors, "__proto__")?.value.shape).toEqual([2]);
    expect(Object.keys(tensors)).toContain('é\n\x01\x7f"\\/');
    expect(Object.keys(tensors)).toContain("\u{1F600}");
    expect(Object.getPrototypeOf(tensors)).toBe(Object.prototype);
  });

  it("keep several metadata entries", () => {
    expect(several).toEqual({ ours: ENTRIES, theirs: ENTRIES });
  });
});
