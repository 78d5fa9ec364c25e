import { endianness } from "node:os";
import { WaveGPTError } from "../../lib/errors.js";
import { type Tensor, type TokenPiece, torch } from "../../lib/index.js";
import type { TokenArray } from "../tokenizer/index.js";
import { TOKEN_BYTES, type TokenFile } from "./token-file.js";

/** Most tokens of one array: Node 20's arrays end at 4 GiB. */
const LONGEST = 2 ** 29;

/** What is mapped, by the buffer that JavaScript sees it through. */
const mappings = new WeakMap<ArrayBufferLike, { readonly file: string; readonly tokens: Tensor }>();

/** Tokens as a tensor that shares their memory, and the file that is mapped there, if one is. */
export function tokenPiece(tokens: TokenArray): TokenPiece {
  const mapping = mappings.get(tokens.buffer);
  if (mapping === undefined) {
    return { tokens: torch.fromTypedArray(tokens, undefined, { share: true }), file: null };
  }
  const at = tokens.byteOffset / tokens.BYTES_PER_ELEMENT;
  return { ...mapping, tokens: mapping.tokens.narrow(0, at, tokens.length) };
}

/**
 * Maps a file's tokens into memory, for reading: the system brings in the pages that are touched, and may drop them
 * again. Nothing is copied. The mapping ends when the arrays are collected.
 */
export function mapTokens({ path, dtype, offset, tokens }: TokenFile): TokenArray[] {
  if (endianness() !== "LE") {
    throw new WaveGPTError("ERR_WAVEGPT_DATA", "token files can be read on little-endian machines");
  }
  if (tokens === 0) return [];
  const before = offset / TOKEN_BYTES[dtype];
  if (!Number.isInteger(before)) {
    throw new WaveGPTError(
      "ERR_WAVEGPT_DATA",
      `${path}: its tokens begin at byte ${offset}, which is no multiple of their width.`,
    );
  }
  using _ = torch.scope();
  // Without `shared`, libtorch opens the file for reading and what might be written stays in this process.
  const all = torch.ops.aten.from_file(path, { shared: false, size: before + tokens, dtype });
  return Array.from({ length: Math.ceil(tokens / LONGEST) }, (_, at) => {
    const length = Math.min(LONGEST, tokens - at * LONGEST);
    const part = torch.keep(all.narrow(0, before + at * LONGEST, length));
    const array = part.shareTypedArray() as TokenArray;
    mappings.set(array.buffer, { file: path, tokens: part });
    return array;
  });
}
