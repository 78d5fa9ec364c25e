import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { nn, safetensors, type Tensor, torch, type WaveGPTError } from "../../lib/index.js";
import { inTemporaryFolder } from "../nn/pytorch.js";

describe("saving", () => {
  it("writes views, parameters and conjugates as what they show", () => {
    const base = torch.arange(24, { dtype: "float32" }).view(4, 6);
    const tensors: Record<string, Tensor> = {
      transposed: base.t(),
      strided: base.at("::2", "1:"),
      expanded: base.at(0).expand(3, 6),
      reversed: base.flip([0]),
      conjugate: torch.complex(base, base).conj(),
      negative: torch.imag(torch.complex(base, base).conj()),
    };
    const { tensors: read } = safetensors.deserialize(safetensors.serialize(tensors));
    for (const [name, tensor] of Object.entries(tensors)) {
      expect([name, torch.equal(read[name] as Tensor, tensor.clone())]).toEqual([name, true]);
      expect(read[name]?.isContiguous()).toBe(true);
    }
    using layer = new nn.Linear(2, 3);
    const back = safetensors.deserialize(safetensors.serialize({ w: layer.weight })).tensors
      .w as Tensor;
    expect(torch.equal(back, layer.weight)).toBe(true);
    expect(back.requiresGrad).toBe(false);
  });

  it("replaces a file whole and leaves no temporary", () => {
    inTemporaryFolder((folder) => {
      const file = path.join(folder, "model.safetensors");
      safetensors.save(file, { a: torch.ones([3]) });
      safetensors.save(file, { a: torch.zeros([1000]) });
      expect(readdirSync(folder)).toEqual(["model.safetensors"]);
      expect(safetensors.load(file).a?.shape).toEqual([1000]);
    });
  });

  it("leaves the old file, and nothing else, where writing fails", () => {
    inTemporaryFolder((folder) => {
      const file = path.join(folder, "model.safetensors");
      safetensors.save(file, { a: torch.ones([3]) });
      const before = readFileSync(file);
      const disposed = torch.ones([2]);
      const bad = { b: torch.ones([2]), c: disposed };
      disposed.dispose();
      expect(() => safetensors.save(file, bad)).toThrow();
      expect(readFileSync(file).equals(before)).toBe(true);
      expect(readdirSync(folder)).toEqual(["model.safetensors"]);
      // The data is written to the temporary file before the rename fails.
      const occupied = path.join(folder, "folder.safetensors");
      mkdirSync(path.join(occupied, "inside"), { recursive: true });
      expect(() => safetensors.save(occupied, { a: torch.ones([3]) })).toThrow(
        /EISDIR|ENOTEMPTY|EPERM|EEXIST/,
      );
      expect(readdirSync(folder).sort()).toEqual(["folder.safetensors", "model.safetensors"]);
      expect(() => safetensors.save(path.join(folder, "none", "m"), {})).toThrow("ENOENT");
    });
  });

  it.each<[string, () => unknown, string]>([
    [
      "a dtype the format lacks",
      () => safetensors.serialize({ z: torch.zeros([1], { dtype: "complex128" }) }),
      'no dtype for "z", which is complex128',
    ],
    [
      "what is no tensor",
      () => safetensors.serialize({ z: 3 as unknown as Tensor }),
      '"z" must be a Tensor; got number',
    ],
    [
      "the reserved name",
      () => safetensors.serialize({ __metadata__: torch.zeros([1]) }),
      "keeps for itself",
    ],
    [
      "a lone surrogate",
      () => safetensors.serialize({ "a\ud800": torch.zeros([1]) }),
      "well-formed Unicode",
    ],
    [
      "metadata that is no string",
      () => safetensors.serialize({}, { a: 1 as unknown as string }),
      `metadata's "a" must be a string; got number`,
    ],
    [
      "a sparse tensor",
      () => safetensors.serialize({ s: torch.eye(2).toSparse() }),
      "must be a dense tensor",
    ],
  ])("refuses %s", (_name, save, message) => {
    expect(save).toThrow(message);
  });
});

describe("loading", () => {
  it("takes some tensors, describes a file without its data, and leaves tensors to the scope", () => {
    inTemporaryFolder((folder) => {
      const file = path.join(folder, "model.safetensors");
      safetensors.save(
        file,
        { b: torch.ones([2, 3]), a: torch.ones([4], { dtype: "bfloat16" }) },
        { epoch: "3" },
      );
      expect(safetensors.describe(file)).toEqual({
        tensors: [
          { name: "b", dtype: "float32", shape: [2, 3] },
          { name: "a", dtype: "bfloat16", shape: [4] },
        ],
        metadata: { epoch: "3" },
      });
      expect(safetensors.metadata(file)).toEqual({ epoch: "3" });
      expect(Object.keys(safetensors.load(file, { names: ["a"] }))).toEqual(["a"]);
      expect(() => safetensors.load(file, { names: ["c"] })).toThrow('has no tensor "c"');
      const before = torch.memory().handles;
      torch.tidy(() => {
        safetensors.load(file);
        expect(torch.memory().handles).toBe(before + 2);
      });
      expect(torch.memory().handles).toBe(before);
    });
  });

  it("gives tensors memory of their own, wherever they lie in the bytes", () => {
    const bytes = safetensors.serialize({
      a: torch.ones([2], { dtype: "float64" }),
      b: torch.ones([3]),
    });
    const shifted = new Uint8Array(bytes.length + 1);
    shifted.set(bytes, 1);
    const { tensors } = safetensors.deserialize(shifted.subarray(1));
    shifted.fill(0);
    expect([tensors.a?.tolist(), tensors.b?.tolist()]).toEqual([
      [1, 1],
      [1, 1, 1],
    ]);
    tensors.b?.fill_(2);
    expect(tensors.a?.tolist()).toEqual([1, 1]);
  });

  it("reads a file larger than its buffers unharmed", () => {
    inTemporaryFolder((folder) => {
      const file = path.join(folder, "large.safetensors");
      const large = torch.arange(3_000_001, { dtype: "int32" });
      safetensors.save(file, { large, small: torch.ones([1], { dtype: "uint8" }) });
      expect(statSync(file).size % 4).not.toBe(0);
      expect(torch.equal(safetensors.load(file).large as Tensor, large)).toBe(true);
    });
  });

  it("names the file in its errors", () => {
    inTemporaryFolder((folder) => {
      const file = path.join(folder, "cut.safetensors");
      safetensors.save(file, { a: torch.ones([100]) });
      truncateSync(file, 200);
      let error: unknown;
      try {
        safetensors.load(file);
      } catch (caught) {
        error = caught;
      }
      expect((error as WaveGPTError).code).toBe("ERR_WAVEGPT_SAFETENSORS");
      expect((error as WaveGPTError).message).toContain(`${file} is not a valid safetensors file`);
      expect((error as WaveGPTError).message).toContain("is the file cut off?");
      writeFileSync(file, "");
      expect(() => safetensors.metadata(file)).toThrow("it has 0 bytes");
      expect(() => safetensors.load(path.join(folder, "none"))).toThrow("ENOENT");
      chmodSync(file, 0o600);
    });
  });
});
