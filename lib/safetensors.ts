import {
  type Contents,
  describeFile,
  type FileDescription,
  type LoadOptions,
  readBytes,
  readFile,
} from "./safetensors/read.js";
import { toBytes, writeFile } from "./safetensors/write.js";
import type { Tensor } from "./tensor.js";

/**
 * The safetensors format (https://github.com/huggingface/safetensors): a JSON header and the tensors' bytes. What is
 * written here is byte for byte what the Python package writes for the same tensors, given at most one metadata entry
 * (it does not order several).
 */
export type { Contents, FileDescription, LoadOptions };

/**
 * Reads a file's tensors. They are new, and belong to the innermost scope.
 *
 * @throws WaveGPTError `ERR_WAVEGPT_SAFETENSORS` where the file is malformed, before any tensor is made.
 */
export function load(path: string, options: LoadOptions = {}): Record<string, Tensor> {
  return readFile(path, options).tensors;
}

/** As {@link load}, with the file's metadata. */
export function loadWithMetadata(path: string, options: LoadOptions = {}): Contents {
  return readFile(path, options);
}

/** A file's metadata, without reading its tensors. */
export function metadata(path: string): Record<string, string> {
  return describeFile(path).metadata;
}

/** Names, dtypes and shapes of a file's tensors and its metadata, without reading the data. */
export function describe(path: string): FileDescription {
  return describeFile(path);
}

/**
 * Writes tensors to a file, atomically: a reader, or a crash, finds the old file or the new one.
 *
 * @throws WaveGPTError `ERR_WAVEGPT_SAFETENSORS` for what the format cannot hold (complex128, sparse tensors).
 */
export function save(
  path: string,
  tensors: Readonly<Record<string, Tensor>>,
  metadata?: Readonly<Record<string, string>>,
): void {
  writeFile(path, tensors, metadata);
}

/** The bytes of a file. */
export function serialize(
  tensors: Readonly<Record<string, Tensor>>,
  metadata?: Readonly<Record<string, string>>,
): Uint8Array {
  return toBytes(tensors, metadata);
}

/** As {@link loadWithMetadata}, from memory. The tensors do not share the bytes' memory. */
export function deserialize(bytes: Uint8Array, options: LoadOptions = {}): Contents {
  return readBytes(bytes, options);
}
