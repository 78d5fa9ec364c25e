import { binding } from "./binding.js";
import { deviceType } from "./device.js";
import { type DType, dtypeName, isComplex, isFloatingPoint } from "./dtype.js";
import { argumentError } from "./errors.js";
import { noGrad } from "./gradmode.js";
import type { Handle } from "./native.js";
import { toExponential, toFixed } from "./number-format.js";
import { nativeOperator } from "./operator.js";
import { tidy } from "./scope.js";
import { Tensor } from "./tensor.js";
import type { Complex, Layout } from "./types.js";
import { flatValues, type Value } from "./values.js";

// How PyTorch prints a tensor (torch/_tensor_str.py), to the letter.

export interface PrintOptions {
  /** Digits after the point. Default 4. */
  precision: number;
  /** Elements above which a tensor is summarised. Default 1000. */
  threshold: number;
  /** Elements shown at each end of a summarised dimension. Default 3. */
  edgeitems: number;
  /** Characters a line. Default 80. */
  linewidth: number;
  /** Scientific notation always or never; null decides by the values. Default null. */
  sciMode: boolean | null;
}

const options: PrintOptions = {
  precision: 4,
  threshold: 1000,
  edgeitems: 3,
  linewidth: 80,
  sciMode: null,
};

/** Changes how tensors print; what is absent stays. */
export function setPrintOptions(changes: Partial<PrintOptions>): void {
  for (const key of ["precision", "threshold", "edgeitems", "linewidth"] as const) {
    const value = changes[key];
    if (value === undefined) continue;
    if (!Number.isInteger(value) || value < (key === "precision" ? 0 : 1)) {
      throw argumentError("torch.setPrintOptions", key, "a positive integer", value);
    }
    options[key] = value;
  }
  if (changes.sciMode !== undefined) options.sciMode = changes.sciMode;
}

export function getPrintOptions(): PrintOptions {
  return { ...options };
}

type Format = (value: number | bigint | boolean) => string;

function integerFormat(values: readonly (number | bigint | boolean)[]): [Format, number] {
  const text = (value: number | bigint | boolean) =>
    typeof value === "boolean" ? (value ? "True" : "False") : `${value}`;
  const width = values.reduce<number>((most, value) => Math.max(most, text(value).length), 1);
  return [(value) => text(value).padStart(width), width];
}

function floatFormat(values: readonly number[]): [Format, number] {
  const { precision } = options;
  const finite = values.filter((value) => Number.isFinite(value) && value !== 0);
  let whole = true;
  let scientific = false;
  let width = 1;
  if (finite.length > 0) {
    const magnitudes = finite.map(Math.abs);
    const least = magnitudes.reduce((a, b) => Math.min(a, b));
    const most = magnitudes.reduce((a, b) => Math.max(a, b));
    whole = finite.every((value) => value === Math.ceil(value));
    scientific = options.sciMode ?? (most / least > 1000 || most > 1e8 || least < 1e-4);
    for (const value of finite) {
      let length: number;
      if (scientific) length = toExponential(value, precision).length;
      else length = whole ? toFixed(value, 0).length + 1 : toFixed(value, precision).length;
      width = Math.max(width, length);
    }
  }
  const format = (value: number) => {
    if (scientific) return toExponential(value, precision);
    if (!whole) return toFixed(value, precision);
    return toFixed(value, 0) + (Number.isFinite(value) ? "." : "");
  };
  return [(value) => format(Number(value)).padStart(width), width];
}

/** Formats one element of a tensor of `dtype`, and the width it takes. */
function elementFormat(values: readonly Value[], dtype: DType): [(value: Value) => string, number] {
  if (isComplex(dtype)) {
    const numbers = values as readonly Complex[];
    const [real, realWidth] = floatFormat(numbers.map((value) => value.re));
    const [imaginary, imaginaryWidth] = floatFormat(numbers.map((value) => value.im));
    const format = (value: Value) => {
      const { re, im } = value as Complex;
      const second = `${imaginary(im)}j`.trimStart();
      return real(re) + (/^[+-]/.test(second) ? second : `+${second}`);
    };
    return [format, realWidth + imaginaryWidth + 1];
  }
  const [format, width] = isFloatingPoint(dtype)
    ? floatFormat(values as readonly number[])
    : integerFormat(values as readonly (number | bigint | boolean)[]);
  return [(value) => format(value as number | bigint | boolean), width];
}

/** The ends of each dimension that is too long to show, and which dimensions those are. */
function summarised(tensor: Tensor): { shown: Tensor; cut: boolean[] } {
  const edge = options.edgeitems;
  let shown = tensor;
  const cut = tensor.shape.map((size, dim) => {
    if (size <= 2 * edge) return false;
    const ends = [shown.narrow(dim, 0, edge), shown.narrow(dim, size - edge, edge)];
    shown = concatenate(ends, dim);
    return true;
  });
  return { shown, cut };
}

/** The brackets with what is in them; `indent` is how far the opening bracket stands from the left. */
function contents(tensor: Tensor, indent: number): string {
  if (tensor.numel() === 0) return "[]";
  const summarise = tensor.numel() > options.threshold;
  const { shown, cut } = summarise
    ? summarised(tensor)
    : { shown: tensor, cut: tensor.shape.map(() => false) };
  const shape = shown.shape;
  const values = flatValues(shown);
  const [format, width] = elementFormat(values, tensor.dtype);
  if (shape.length === 0) return format(values[0]!);
  let next = 0;
  const row = (left: number): string => {
    const size = shape.at(-1)!;
    const cells = values.slice(next, next + size).map(format);
    next += size;
    if (cut.at(-1)) cells.splice(options.edgeitems, 0, " ...");
    const perLine = Math.max(1, Math.floor((options.linewidth - left) / (width + 2)));
    const lines: string[] = [];
    for (let at = 0; at < cells.length; at += perLine) {
      lines.push(cells.slice(at, at + perLine).join(", "));
    }
    return `[${lines.join(`,\n${" ".repeat(left + 1)}`)}]`;
  };
  const block = (dim: number, left: number): string => {
    if (dim === shape.length - 1) return row(left);
    const slices = Array.from({ length: shape[dim]! }, () => block(dim + 1, left + 1));
    if (cut[dim]) slices.splice(options.edgeitems, 0, "...");
    const gap = `,${"\n".repeat(shape.length - dim - 1)}${" ".repeat(left + 1)}`;
    return `[${slices.join(gap)}]`;
  };
  return block(0, indent);
}

const size = (shape: readonly number[]) => `(${shape.join(", ")}${shape.length === 1 ? "," : ""})`;

/** A part of a sparse tensor: `name=tensor(...)`. */
function part(name: string, tensor: Tensor, indent: number): string {
  const prefix = `${name}=tensor(`;
  const empty = tensor.numel() === 0 ? `, size=${size(tensor.shape)}` : "";
  return `${prefix}${contents(tensor, indent + prefix.length)}${empty})`;
}

const concatenated = nativeOperator("aten::cat");

function concatenate(tensors: readonly Tensor[], dim: number): Tensor {
  const handles = tensors.map((tensor) => tensor.handle);
  return new Tensor(concatenated(handles, dim) as Handle);
}

type Part = readonly [name: string, operator: (...values: unknown[]) => unknown];

const indices: Part = ["indices", nativeOperator("aten::_indices")];
const values: Part = ["values", nativeOperator("aten::values")];
const crow: Part = ["crow_indices", nativeOperator("aten::crow_indices")];
const col: Part = ["col_indices", nativeOperator("aten::col_indices")];
const ccol: Part = ["ccol_indices", nativeOperator("aten::ccol_indices")];
const row: Part = ["row_indices", nativeOperator("aten::row_indices")];

/** What a sparse tensor consists of, by layout. */
const SPARSE_PARTS: Partial<Record<Layout, readonly Part[]>> = {
  sparse_coo: [indices, ["values", nativeOperator("aten::_values")]],
  sparse_csr: [crow, col, values],
  sparse_bsr: [crow, col, values],
  sparse_csc: [ccol, row, values],
  sparse_bsc: [ccol, row, values],
};
const stored = nativeOperator("aten::_nnz");
const dense = nativeOperator("aten::to_dense");

const INDENT = "tensor(".length;

/** The contents between the parentheses and what follows them, before the suffixes that all tensors have. */
function body(tensor: Tensor, plain: boolean): { text: string; suffixes: string[] } {
  const { shape, dtype, layout } = tensor;
  const typeSuffix = plain ? [] : [`dtype=torch.${dtype}`];
  if (tensor.device === "meta") {
    const ordinary = dtype === dtypeName(binding.defaultDtype());
    return {
      text: "...",
      suffixes: [`size=${size(shape)}`, ...(ordinary ? [] : [`dtype=torch.${dtype}`])],
    };
  }
  const parts = SPARSE_PARTS[layout];
  if (parts !== undefined) {
    const texts = parts.map(([name, operator]) =>
      part(name, new Tensor(operator(tensor.handle) as Handle), INDENT),
    );
    return {
      text: texts.join(`,\n${" ".repeat(INDENT)}`),
      suffixes: [`size=${size(shape)}`, `nnz=${stored(tensor.handle)}`, ...typeSuffix],
    };
  }
  if (dtype.startsWith("q")) {
    return {
      text: contents(tensor.dequantize(), INDENT),
      suffixes: [`size=${size(shape)}`, ...typeSuffix],
    };
  }
  if (tensor.numel() === 0) {
    // No element shows the type, so int64 and bool are named too.
    const ordinary = dtype === dtypeName(binding.defaultDtype());
    return {
      text: "[]",
      suffixes: [
        ...(shape.length === 1 ? [] : [`size=${size(shape)}`]),
        ...(ordinary ? [] : [`dtype=torch.${dtype}`]),
      ],
    };
  }
  const strided = layout === "strided" ? tensor : new Tensor(dense(tensor.handle) as Handle);
  return { text: contents(strided, INDENT), suffixes: typeSuffix };
}

/** A tensor as PyTorch prints it: `tensor([1., 2.], requires_grad=True)`. */
export function formatTensor(tensor: Tensor): string {
  return noGrad(() => tidy(() => format(tensor)));
}

function format(tensor: Tensor): string {
  const { dtype, device, layout } = tensor;
  const real = dtypeName(binding.defaultDtype());
  const complex = real === "float64" ? "complex128" : "complex64";
  const plain = [real, complex, "int64", "bool"].includes(dtype);
  const { text, suffixes } = body(tensor.detach(), plain);
  if (deviceType(device) !== "cpu") suffixes.unshift(`device='${device}'`);
  if (layout !== "strided") {
    suffixes.push(`layout=torch.${layout === "mkldnn" ? "_mkldnn" : layout}`);
  }
  const made = tensor.gradFn;
  if (made !== null) suffixes.push(`grad_fn=<${made}>`);
  else if (tensor.requiresGrad) suffixes.push("requires_grad=True");
  return withSuffixes(
    `tensor(${text}`,
    suffixes,
    SPARSE_PARTS[layout] !== undefined && layout === "sparse_coo",
  );
}

/** Adds `, name=value` for each suffix, on a new line where the line would grow too long. */
function withSuffixes(start: string, suffixes: readonly string[], newline: boolean): string {
  let text = start;
  let length = text.length - text.lastIndexOf("\n") + 1;
  let force = newline;
  for (const suffix of suffixes) {
    if (force || length + suffix.length + 2 > options.linewidth) {
      text += `,\n${" ".repeat(INDENT)}${suffix}`;
      length = INDENT + suffix.length;
      force = false;
    } else {
      text += `, ${suffix}`;
      length += suffix.length + 2;
    }
  }
  return `${text})`;
}
