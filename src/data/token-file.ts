import { closeSync, openSync, readSync, statSync } from "node:fs";
import { WaveGPTError } from "../../lib/errors.js";

/** What ids are stored as, little-endian. */
export type TokenDtype = "uint16" | "uint32";

/** Where in a file its tokens lie. */
export interface TokenFile {
  readonly path: string;
  readonly format: "npy" | "llm.c" | "raw";
  readonly dtype: TokenDtype;
  /** Bytes before the first token. */
  readonly offset: number;
  readonly tokens: number;
}

export const TOKEN_BYTES: Readonly<Record<TokenDtype, number>> = { uint16: 2, uint32: 4 };

/** The first of llm.c's 256 header words, and the width of its tokens by the second, the version. */
const LLMC_MAGIC = 20240520;
const LLMC_HEADER = 1024;
const LLMC_VERSIONS: Readonly<Record<number, TokenDtype>> = { 1: "uint16", 7: "uint32" };

const NPY_MAGIC = Buffer.from("\x93NUMPY", "latin1");
const NPY_DTYPES: Readonly<Record<string, TokenDtype>> = { "<u2": "uint16", "<u4": "uint32" };

function fail(path: string, what: string): never {
  throw new WaveGPTError("ERR_WAVEGPT_DATA", `${path}: ${what}`);
}

function start(path: string, bytes: number): Buffer {
  const buffer = Buffer.alloc(bytes);
  const fd = openSync(path, "r");
  try {
    return buffer.subarray(0, readSync(fd, buffer, 0, bytes, 0));
  } finally {
    closeSync(fd);
  }
}

/** The length that a file must have for its header's number of tokens. */
function checked(file: TokenFile, size: number): TokenFile {
  const needed = file.offset + file.tokens * TOKEN_BYTES[file.dtype];
  if (size !== needed) {
    fail(
      file.path,
      `its header says ${file.tokens} ${file.dtype} tokens, which take ${needed} bytes, but the file has ${size}: it is ${size < needed ? "cut short" : "longer than it says"}.`,
    );
  }
  return file;
}

/**
 * NumPy's own format (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html): a flat array of
 * unsigned 16 or 32-bit integers.
 */
function readNpyHeader(path: string, size: number): TokenFile {
  const head = start(path, 4096);
  const version = head[6] ?? 0;
  if (!head.subarray(0, 6).equals(NPY_MAGIC) || head.length < 12 || version < 1 || version > 3) {
    fail(path, "expected a .npy file, but it does not begin as one.");
  }
  const length = version === 1 ? head.readUInt16LE(8) : head.readUInt32LE(8);
  const offset = (version === 1 ? 10 : 12) + length;
  const text = head.toString("latin1", version === 1 ? 10 : 12, offset);
  const descr = /'descr':\s*'([^']*)'/.exec(text)?.[1];
  const shape = /'shape':\s*\(([^)]*)\)/.exec(text)?.[1];
  const dtype = NPY_DTYPES[descr ?? ""];
  if (dtype === undefined) {
    fail(path, `expected 16 or 32-bit unsigned integers ('<u2', '<u4'), got ${descr ?? "none"}.`);
  }
  const sizes = (shape ?? "").split(",").filter((part) => part.trim() !== "");
  if (sizes.length !== 1) fail(path, `expected one dimension, got the shape (${shape}).`);
  return checked({ path, format: "npy", dtype, offset, tokens: Number(sizes[0]) }, size);
}

/** llm.c's format (dev/data/data_common.py) where its header is there, else nanoGPT's: nothing but the tokens. */
function readBinHeader(path: string, size: number): TokenFile {
  const head = start(path, 12);
  if (head.length === 12 && head.readInt32LE(0) === LLMC_MAGIC) {
    const version = head.readInt32LE(4);
    const dtype = LLMC_VERSIONS[version];
    if (dtype === undefined) {
      const known = Object.entries(LLMC_VERSIONS).map(([number, kind]) => `${number} (${kind})`);
      fail(path, `expected llm.c's version ${known.join(" or ")}, got ${version}.`);
    }
    const file = { path, format: "llm.c", dtype, offset: LLMC_HEADER } as const;
    return checked({ ...file, tokens: head.readUInt32LE(8) }, size);
  }
  if (size % 2 !== 0) {
    fail(path, `expected 16-bit tokens, which take an even number of bytes, got ${size} bytes.`);
  }
  return { path, format: "raw", dtype: "uint16", offset: 0, tokens: size / 2 };
}

/**
 * Reads a file's header: `.npy` (the reference's shards, and ours), llm.c's `.bin`, or nanoGPT's `.bin`.
 * @throws WaveGPTError ERR_WAVEGPT_DATA naming the file, where it is none of these or not as long as it says
 */
export function readTokenFile(path: string): TokenFile {
  const { size } = statSync(path);
  if (path.endsWith(".npy")) return readNpyHeader(path, size);
  if (path.endsWith(".bin")) return readBinHeader(path, size);
  return fail(path, "expected a .npy or .bin file of tokens.");
}

/** Bytes of {@link npyHeader}, whatever the number of tokens. */
export const NPY_HEADER = 128;

/** The header of a .npy file of so many tokens. */
export function npyHeader(dtype: TokenDtype, tokens: number): Uint8Array {
  const descr = dtype === "uint16" ? "<u2" : "<u4";
  const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${tokens},), }`;
  const header = Buffer.alloc(NPY_HEADER, " ");
  NPY_MAGIC.copy(header);
  header[6] = 1;
  header[7] = 0;
  header.writeUInt16LE(NPY_HEADER - 10, 8);
  header.write(text, 10, "latin1");
  header[NPY_HEADER - 1] = 0x0a;
  return header;
}
