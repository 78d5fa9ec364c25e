import { createHash } from "node:crypto";
import type { PartName } from "../data/manifest.js";
import { PIECE_BYTES } from "./cut.js";

/** What the manifest says of {@link partOf}. */
export const SPLIT_RULE =
  "a document is for validation where the first 48 bits of the SHA-256 of its first MiB of UTF-8, as a fraction of 2**48, are below `validation`";

/**
 * Whether a document is for training or validation: by its text alone, so that a text that comes twice is on one side,
 * and whatever else is in the corpus changes nothing.
 * @param beginning the document's bytes, or at least the first {@link PIECE_BYTES} of them
 */
export function partOf(beginning: Uint8Array, validation: number): PartName {
  const digest = createHash("sha256").update(beginning.subarray(0, PIECE_BYTES)).digest();
  return digest.readUIntBE(0, 6) < validation * 2 ** 48 ? "val" : "train";
}
