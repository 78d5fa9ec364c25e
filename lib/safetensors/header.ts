import { compareElementTypes, type ElementType, elementTypeByName } from "./dtypes.js";
import { checkStrictJson } from "./json.js";
import { malformed } from "./malformed.js";

/** The reference implementation refuses longer headers, and so does this one. */
export const MAX_HEADER_BYTES = 100_000_000;

/** The header's length stands in front of it, in 8 bytes, little endian. */
export const LENGTH_BYTES = 8;

/** One tensor of a file: where it lies and what it is. */
export interface TensorInformation {
  readonly name: string;
  readonly type: ElementType;
  readonly shape: readonly number[];
  /** First byte, counted from the end of the header. */
  readonly begin: number;
  /** One past the last byte. */
  readonly end: number;
}

export interface Header {
  /** In the order of the data. */
  readonly tensors: readonly TensorInformation[];
  readonly metadata: Record<string, string>;
}

/** Reads the length prefix. `available` is how many bytes the file has in all. */
export function readHeaderLength(prefix: Uint8Array, available: number, where: string): number {
  if (available < LENGTH_BYTES) {
    throw malformed(
      where,
      `it has ${available} bytes, and the header's length alone takes ${LENGTH_BYTES}`,
    );
  }
  const view = new DataView(prefix.buffer, prefix.byteOffset, LENGTH_BYTES);
  const length = view.getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES)) {
    throw malformed(
      where,
      `its header claims ${length} bytes; at most ${MAX_HEADER_BYTES} are allowed`,
    );
  }
  if (length > BigInt(available - LENGTH_BYTES)) {
    throw malformed(
      where,
      `its header claims ${length} bytes, but only ${available - LENGTH_BYTES} follow the length`,
    );
  }
  if (length < 2n) {
    throw malformed(where, `its header claims ${length} bytes; the shortest header, "{}", has 2`);
  }
  return Number(length);
}

/** Parses and checks a header. `dataBytes` is how many bytes follow it. */
export function parseHeader(bytes: Uint8Array, dataBytes: number, where: string): Header {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw malformed(where, "its header is not UTF-8");
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw malformed(where, `its header is not JSON (${(error as Error).message})`);
  }
  if (!isObject(parsed)) {
    throw malformed(where, `its header is ${describe(parsed)}; an object was expected`);
  }
  checkStrictJson(text, where);
  const tensors: TensorInformation[] = [];
  let metadata: Record<string, string> = {};
  for (const [name, entry] of Object.entries(parsed)) {
    if (name === "__metadata__") {
      metadata = parseMetadata(entry, where);
    } else {
      tensors.push(parseTensor(name, entry, where));
    }
  }
  tensors.sort((a, b) => a.begin - b.begin || a.end - b.end);
  checkCoverage(tensors, dataBytes, where);
  return { tensors, metadata };
}

function parseMetadata(value: unknown, where: string): Record<string, string> {
  if (value === null) {
    return {};
  }
  if (!isObject(value)) {
    throw malformed(where, `__metadata__ is ${describe(value)}; an object of strings was expected`);
  }
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== "string") {
      throw malformed(
        where,
        `__metadata__ has ${describe(text)} for ${JSON.stringify(key)}; a string was expected`,
      );
    }
  }
  return value as Record<string, string>;
}

function parseTensor(name: string, entry: unknown, where: string): TensorInformation {
  const quoted = JSON.stringify(name);
  if (!isObject(entry)) {
    throw malformed(where, `tensor ${quoted} is ${describe(entry)}; an object was expected`);
  }
  const { dtype, shape, data_offsets: offsets } = entry;
  if (typeof dtype !== "string") {
    throw malformed(
      where,
      `tensor ${quoted} has ${describe(dtype)} as dtype; a string was expected`,
    );
  }
  const type = elementTypeByName(dtype);
  if (type === undefined) {
    throw malformed(where, `tensor ${quoted} has the unknown dtype ${JSON.stringify(dtype)}`);
  }
  if (!isIntegerList(shape)) {
    throw malformed(
      where,
      `tensor ${quoted} has ${describe(shape)} as shape; a list of non-negative integers was expected`,
    );
  }
  if (!isIntegerList(offsets) || offsets.length !== 2) {
    throw malformed(
      where,
      `tensor ${quoted} has ${describe(offsets)} as data_offsets; two non-negative integers were expected`,
    );
  }
  const [begin, end] = offsets as [number, number];
  if (end < begin) {
    throw malformed(where, `tensor ${quoted} ends at byte ${end}, before it begins at ${begin}`);
  }
  const size = byteSize(shape, type, quoted, where);
  if (end - begin !== size) {
    throw malformed(
      where,
      `tensor ${quoted} of dtype ${dtype} and shape [${shape.join(", ")}] needs ${size} bytes, but its offsets span ${end - begin}`,
    );
  }
  return { name, type, shape, begin, end };
}

function byteSize(
  shape: readonly number[],
  type: ElementType,
  quoted: string,
  where: string,
): number {
  // As the reference: an overflow is refused even where a later 0 would make the product 0.
  let size = 1;
  for (const length of shape) {
    size *= length;
    if (!Number.isSafeInteger(size * type.size)) {
      throw malformed(
        where,
        `tensor ${quoted} has shape [${shape.join(", ")}], more elements than can be counted`,
      );
    }
  }
  return size * type.size;
}

/** The data must be covered without hole or overlap, from its first byte to its last. */
function checkCoverage(
  tensors: readonly TensorInformation[],
  dataBytes: number,
  where: string,
): void {
  let position = 0;
  let previous = "the header";
  for (const { name, begin, end } of tensors) {
    const quoted = JSON.stringify(name);
    if (end > dataBytes) {
      throw malformed(
        where,
        `tensor ${quoted} ends at byte ${end} of the data, which has ${dataBytes} (is the file cut off?)`,
      );
    }
    if (begin < position) {
      throw malformed(
        where,
        `tensor ${quoted} begins at byte ${begin} of the data and overlaps ${previous}, which ends at ${position}`,
      );
    }
    if (begin > position) {
      throw malformed(
        where,
        `bytes ${position} to ${begin} of the data, between ${previous} and ${quoted}, belong to no tensor`,
      );
    }
    position = end;
    previous = quoted;
  }
  if (position !== dataBytes) {
    throw malformed(
      where,
      `the tensors take ${position} bytes of data, but ${dataBytes} follow the header`,
    );
  }
}

/** What is needed of a tensor to describe it in a header. */
export interface TensorDescription {
  readonly name: string;
  readonly type: ElementType;
  readonly shape: readonly number[];
}

/** Puts tensors in the reference implementation's order: widest type first, then by name (bytes of UTF-8). */
export function layoutOrder<T extends TensorDescription>(tensors: readonly T[]): T[] {
  return [...tensors].sort(
    (a, b) =>
      compareElementTypes(a.type, b.type) ||
      Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)),
  );
}

/** The bytes in front of the data: length and header, padded with spaces to a multiple of 8. */
export function encodeHeader(
  ordered: readonly TensorDescription[],
  metadata: Readonly<Record<string, string>> | undefined,
): Buffer {
  const entries: string[] = [];
  if (metadata !== undefined) {
    entries.push(`"__metadata__":${JSON.stringify(metadata)}`);
  }
  let position = 0;
  for (const { name, type, shape } of ordered) {
    const end = position + shape.reduce((product, length) => product * length, type.size);
    entries.push(
      `${JSON.stringify(name)}:{"dtype":"${type.name}","shape":[${shape.join(",")}],"data_offsets":[${position},${end}]}`,
    );
    position = end;
  }
  const json = Buffer.from(`{${entries.join(",")}}`, "utf8");
  const padded = Math.ceil(json.length / 8) * 8;
  const bytes = Buffer.alloc(LENGTH_BYTES + padded, 0x20);
  bytes.writeBigUInt64LE(BigInt(padded), 0);
  json.copy(bytes, LENGTH_BYTES);
  return bytes;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isIntegerList(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}

function describe(value: unknown): string {
  if (value === undefined) {
    return "nothing";
  }
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
