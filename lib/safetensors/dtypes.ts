/**
 * The element types of the format, in the order in which the reference implementation lays tensors out
 * (https://github.com/huggingface/safetensors: widest first, so that every tensor is aligned to its own width).
 */
export interface ElementType {
  /** The format's name, e.g. `"BF16"`. */
  readonly name: string;
  /** libtorch's ScalarType code. */
  readonly code: number;
  /** Bytes of one element. */
  readonly size: number;
}

export const ELEMENT_TYPES: readonly ElementType[] = [
  { name: "U64", code: 29, size: 8 },
  { name: "I64", code: 4, size: 8 },
  { name: "F64", code: 7, size: 8 },
  { name: "C64", code: 9, size: 8 },
  { name: "F32", code: 6, size: 4 },
  { name: "U32", code: 28, size: 4 },
  { name: "I32", code: 3, size: 4 },
  { name: "BF16", code: 15, size: 2 },
  { name: "F16", code: 5, size: 2 },
  { name: "U16", code: 27, size: 2 },
  { name: "I16", code: 2, size: 2 },
  { name: "F8_E5M2FNUZ", code: 25, size: 1 },
  { name: "F8_E4M3FNUZ", code: 26, size: 1 },
  { name: "F8_E8M0", code: 44, size: 1 },
  { name: "F8_E4M3", code: 24, size: 1 },
  { name: "F8_E5M2", code: 23, size: 1 },
  { name: "I8", code: 1, size: 1 },
  { name: "U8", code: 0, size: 1 },
  { name: "BOOL", code: 11, size: 1 },
];

const byName = new Map(ELEMENT_TYPES.map((type) => [type.name, type]));
const byCode = new Map(ELEMENT_TYPES.map((type) => [type.code, type]));
const rank = new Map(ELEMENT_TYPES.map((type, index) => [type.name, index]));

/** The type with the format's name, or undefined. */
export function elementTypeByName(name: string): ElementType | undefined {
  return byName.get(name);
}

/** The type with libtorch's code, or undefined (complex128 and quantized types have none). */
export function elementTypeByCode(code: number): ElementType | undefined {
  return byCode.get(code);
}

/** Orders two types as the reference implementation orders tensors in a file. */
export function compareElementTypes(a: ElementType, b: ElementType): number {
  return (rank.get(a.name) ?? 0) - (rank.get(b.name) ?? 0);
}
