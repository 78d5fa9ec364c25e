import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { binding } from "../binding.js";
import { type DType, dtypeName } from "../dtype.js";
import type { Tensor } from "../tensor.js";
import { torch } from "../torch.js";
import {
  type Header,
  LENGTH_BYTES,
  parseHeader,
  readHeaderLength,
  type TensorInformation,
} from "./header.js";
import { malformed } from "./malformed.js";

/** What a file holds. */
export interface Contents {
  tensors: Record<string, Tensor>;
  metadata: Record<string, string>;
}

export interface LoadOptions {
  /** Where the tensors are made; the CPU by default. */
  device?: string;
  /** Which tensors are loaded; all by default. A name that the file does not have is an error. */
  names?: readonly string[];
}

/** What is known of a file without reading its data. */
export interface FileDescription {
  /** Name, dtype and shape of each tensor, in the order of the data. */
  readonly tensors: readonly { name: string; dtype: DType; shape: readonly number[] }[];
  readonly metadata: Record<string, string>;
}

/** One read(2) takes no more than this. */
const READ_BYTES = 1 << 30;

/** Fills `target` from byte `position` of the source. */
type ReadInto = (target: Uint8Array, position: number) => void;

/** Reads a file's tensors into new ones, which belong to the innermost scope. Each byte is read straight into place. */
export function readFile(path: string, options: LoadOptions): Contents {
  return withFile(path, (file, size) => {
    const { header, dataStart } = readHeader(file, size, path);
    return readTensors(
      header,
      dataStart,
      (target, position) => readFully(file, target, position, path),
      {
        ...options,
        where: path,
      },
    );
  });
}

/** Reads a file's header only. */
export function describeFile(path: string): FileDescription {
  return withFile(path, (file, size) => {
    const { header } = readHeader(file, size, path);
    return {
      tensors: header.tensors.map(({ name, type, shape }) => ({
        name,
        dtype: dtypeName(type.code),
        shape,
      })),
      metadata: header.metadata,
    };
  });
}

/** As {@link readFile}, from memory. */
export function readBytes(bytes: Uint8Array, options: LoadOptions): Contents {
  const where = "The data";
  const length = readHeaderLength(bytes, bytes.length, where);
  const dataStart = LENGTH_BYTES + length;
  const header = parseHeader(
    bytes.subarray(LENGTH_BYTES, dataStart),
    bytes.length - dataStart,
    where,
  );
  return readTensors(
    header,
    dataStart,
    (target, position) => target.set(bytes.subarray(position, position + target.length)),
    { ...options, where },
  );
}

function withFile<T>(path: string, use: (file: number, size: number) => T): T {
  const file = openSync(path, "r");
  try {
    return use(file, fstatSync(file).size);
  } finally {
    closeSync(file);
  }
}

function readHeader(
  file: number,
  size: number,
  path: string,
): { header: Header; dataStart: number } {
  const prefix = new Uint8Array(LENGTH_BYTES);
  readFully(file, prefix.subarray(0, Math.min(LENGTH_BYTES, size)), 0, path);
  const length = readHeaderLength(prefix, size, path);
  const bytes = new Uint8Array(length);
  readFully(file, bytes, LENGTH_BYTES, path);
  const dataStart = LENGTH_BYTES + length;
  return { header: parseHeader(bytes, size - dataStart, path), dataStart };
}

function readFully(file: number, target: Uint8Array, position: number, path: string): void {
  let done = 0;
  while (done < target.length) {
    const wanted = Math.min(target.length - done, READ_BYTES);
    const count = readSync(file, target, done, wanted, position + done);
    if (count === 0) {
      throw malformed(path, `it ended at byte ${position + done} while it was being read`);
    }
    done += count;
  }
}

function readTensors(
  { tensors: informations, metadata }: Header,
  dataStart: number,
  readInto: ReadInto,
  { device, names, where }: LoadOptions & { where: string },
): Contents {
  const wanted = names === undefined ? informations : select(informations, names, where);
  const entries = wanted.map((information): [string, Tensor] => [
    information.name,
    readTensor(information, dataStart, readInto, device),
  ]);
  return { tensors: Object.fromEntries(entries), metadata };
}

function select(
  informations: readonly TensorInformation[],
  names: readonly string[],
  where: string,
): TensorInformation[] {
  const byName = new Map(informations.map((information) => [information.name, information]));
  return names.map((name) => {
    const information = byName.get(name);
    if (information === undefined) {
      throw malformed(where, `it has no tensor ${JSON.stringify(name)}, which was asked for`);
    }
    return information;
  });
}

function readTensor(
  { type, shape, begin, end }: TensorInformation,
  dataStart: number,
  readInto: ReadInto,
  device: string | undefined,
): Tensor {
  const make = (): Tensor => {
    const tensor = torch.empty(shape, { dtype: dtypeName(type.code) });
    if (end > begin) {
      const { buffer, byteOffset, byteLength } = binding.shareTypedArray(tensor.handle);
      readInto(new Uint8Array(buffer, byteOffset, byteLength), dataStart + begin);
    }
    return tensor;
  };
  return device === undefined || device === "cpu"
    ? make()
    : torch.tidy(() => make().to({ device }));
}
