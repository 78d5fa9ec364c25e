import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import path from "node:path";
import { binding } from "../binding.js";
import { WaveGPTError } from "../errors.js";
import { Tensor } from "../tensor.js";
import { torch } from "../torch.js";
import { type ElementType, elementTypeByCode } from "./dtypes.js";
import { encodeHeader, layoutOrder, MAX_HEADER_BYTES } from "./header.js";

/** One write(2) takes no more than this. */
const WRITE_BYTES = 1 << 30;

interface Entry {
  readonly name: string;
  readonly type: ElementType;
  readonly shape: readonly number[];
  readonly tensor: Tensor;
}

/** Tensors and header as the bytes of a file. */
export function toBytes(
  tensors: Readonly<Record<string, Tensor>>,
  metadata: Readonly<Record<string, string>> | undefined,
): Uint8Array {
  const { entries, header } = prepare(tensors, metadata);
  const size = entries.reduce(
    (sum, { type, tensor }) => sum + tensor.numel() * type.size,
    header.length,
  );
  const bytes = new Uint8Array(size);
  bytes.set(header);
  let position = header.length;
  for (const { tensor } of entries) {
    withBytes(tensor, (data) => {
      bytes.set(data, position);
      position += data.length;
    });
  }
  return bytes;
}

/**
 * Writes a file so that a reader sees the old one or the new one and never a part: into a temporary file beside it,
 * flushed to disk and renamed. On failure the temporary file is removed and the old one is as it was.
 */
export function writeFile(
  target: string,
  tensors: Readonly<Record<string, Tensor>>,
  metadata: Readonly<Record<string, string>> | undefined,
): void {
  const { entries, header } = prepare(tensors, metadata);
  const temporary = path.join(
    path.dirname(target),
    `.${path.basename(target)}.${process.pid}.${temporaryNumber++}.tmp`,
  );
  try {
    const file = openSync(temporary, "wx");
    try {
      writeFully(file, header);
      for (const { tensor } of entries) {
        withBytes(tensor, (data) => writeFully(file, data));
      }
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, target);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
  syncDirectory(path.dirname(target));
}

let temporaryNumber = 0;

/** Makes the rename itself last. Directories cannot be opened on Windows, where the file system sees to it. */
function syncDirectory(directory: string): void {
  if (process.platform === "win32") {
    return;
  }
  const handle = openSync(directory, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

function writeFully(file: number, data: Uint8Array): void {
  let done = 0;
  while (done < data.length) {
    done += writeSync(file, data, done, Math.min(data.length - done, WRITE_BYTES));
  }
}

function prepare(
  tensors: Readonly<Record<string, Tensor>>,
  metadata: Readonly<Record<string, string>> | undefined,
): { entries: Entry[]; header: Buffer } {
  for (const [key, value] of Object.entries(metadata ?? {})) {
    if (typeof value !== "string") {
      throw saveError(`metadata's ${JSON.stringify(key)} must be a string; got ${typeof value}`);
    }
    checkText(key, "a metadata key");
    checkText(value, "a metadata value");
  }
  const entries = layoutOrder(
    Object.entries(tensors).map(([name, tensor]): Entry => {
      if (!(tensor instanceof Tensor)) {
        throw saveError(
          `${JSON.stringify(name)} must be a Tensor; got ${tensor === null ? "null" : typeof tensor}`,
        );
      }
      if (name === "__metadata__") {
        throw saveError(
          'a tensor cannot be named "__metadata__", which the format keeps for itself',
        );
      }
      checkText(name, "a tensor's name");
      const type = elementTypeByCode(binding.dtype(tensor.handle));
      if (type === undefined) {
        throw saveError(
          `the format has no dtype for ${JSON.stringify(name)}, which is ${tensor.dtype}`,
        );
      }
      if (tensor.layout !== "strided") {
        throw saveError(
          `${JSON.stringify(name)} must be a dense tensor; its layout is ${tensor.layout}`,
        );
      }
      return { name, type, shape: tensor.shape, tensor };
    }),
  );
  const header = encodeHeader(entries, metadata);
  if (header.length > MAX_HEADER_BYTES) {
    throw saveError(
      `the header takes ${header.length} bytes; at most ${MAX_HEADER_BYTES} can be read back`,
    );
  }
  return { entries, header };
}

function checkText(text: string, what: string): void {
  if (/\p{Surrogate}/u.test(text)) {
    throw saveError(`${what} is not well-formed Unicode: ${JSON.stringify(text)}`);
  }
}

/** The tensor's bytes for the time of `use`, in place where it is contiguous in the CPU's memory. */
function withBytes(tensor: Tensor, use: (bytes: Uint8Array) => void): void {
  if (tensor.numel() === 0) {
    return;
  }
  using _scope = torch.scope();
  const plain = torch.noGrad(() => tensor.detach().cpu().resolveConj().resolveNeg().contiguous());
  const { buffer, byteOffset, byteLength } = binding.shareTypedArray(plain.handle);
  use(new Uint8Array(buffer, byteOffset, byteLength));
}

function saveError(problem: string): WaveGPTError {
  return new WaveGPTError("ERR_WAVEGPT_SAFETENSORS", `Cannot save: ${problem}.`);
}
