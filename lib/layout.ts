import { argumentError } from "./errors.js";
import type { Layout, MemoryFormat } from "./types.js";

// c10::Layout and c10::MemoryFormat in order of their codes.
const LAYOUTS: readonly Layout[] = [
  "strided",
  "sparse_coo",
  "sparse_csr",
  "mkldnn",
  "sparse_csc",
  "sparse_bsr",
  "sparse_bsc",
  "jagged",
];
const MEMORY_FORMATS: readonly MemoryFormat[] = [
  "contiguous_format",
  "preserve_format",
  "channels_last",
  "channels_last_3d",
];

export function layoutName(code: number): Layout {
  return LAYOUTS[code] ?? "strided";
}

export function isLayout(value: unknown): value is Layout {
  return LAYOUTS.includes(value as Layout);
}

export function isMemoryFormat(value: unknown): value is MemoryFormat {
  return MEMORY_FORMATS.includes(value as MemoryFormat);
}

export function layoutCode(layout: Layout): number {
  const code = LAYOUTS.indexOf(layout);
  if (code < 0) throw argumentError("layout", "layout", LAYOUTS.join(", "), layout);
  return code;
}

export function memoryFormatCode(format: MemoryFormat): number {
  const code = MEMORY_FORMATS.indexOf(format);
  if (code < 0) {
    throw argumentError("memoryFormat", "memoryFormat", MEMORY_FORMATS.join(", "), format);
  }
  return code;
}
