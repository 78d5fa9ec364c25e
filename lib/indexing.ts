import { binding } from "./binding.js";
import { tensor as tensorOf } from "./creation.js";
import { argumentError, WaveGPTError } from "./errors.js";
import { callGiven, callThree, header, NONE, numbers } from "./frame.js";
import type { Handle } from "./native.js";
import type { NestedNumbers } from "./nested.js";
import { nativeOperator, requireOperator } from "./operator.js";
import { Tensor } from "./tensor.js";
import type { Complex, Scalar } from "./types.js";

/** What `torch.slice` makes. */
export class Slice {
  readonly start: number | null;
  readonly stop: number | null;
  readonly step: number;

  constructor(start: number | null, stop: number | null, step: number) {
    this.start = start;
    this.stop = stop;
    this.step = step;
  }
}

type Bound = number | "";
/** A slice as Python writes it: `"1:3"`, `":-1"`, `"::2"`. */
export type SliceText = `${Bound}:${Bound}` | `${Bound}:${Bound}:${Bound}`;
/** Positions, or a mask, in nested arrays. */
export type IndexArray = readonly (number | bigint | boolean | IndexArray)[];

/**
 * What may stand in `x.at(...)` and `x.set([...], value)`, each as in Python's `x[...]`:
 * - a number selects along a dimension, which goes away; negative ones count from the end
 * - `"1:3"`, `"::2"` or `torch.slice(1, 3)` slices a dimension
 * - `"..."` or `torch.ellipsis` stands for all dimensions not named
 * - `null` or `torch.newaxis` adds a dimension of size 1
 * - an integer tensor or array gathers positions, a boolean one is a mask
 * - `true` or `false` adds a dimension of size 1 or 0
 */
export type Index =
  | number
  | bigint
  | boolean
  | null
  | "..."
  | SliceText
  | Slice
  | IndexArray
  | Tensor;

/** What `x.set` writes: broadcast to the shape of `x.at(...)`. */
export type IndexValue = Tensor | Scalar | readonly NestedNumbers[];

/** All dimensions that the other indices do not name, as Python's `...`. */
export const ellipsis = "..." as const;
/** A new dimension of size 1, as Python's `None`. */
export const newaxis = null;

/**
 * Python's `start:stop:step`; `slice(stop)` with one argument. Negative positions count from the end, null (or undefined)
 * is open. The step is positive, as libtorch's.
 */
export function slice(stop: number | null): Slice;
export function slice(
  start: number | null | undefined,
  stop: number | null | undefined,
  step?: number | null,
): Slice;
export function slice(...bounds: (number | null | undefined)[]): Slice {
  const [start, stop, step] = bounds.length === 1 ? [null, bounds[0], null] : bounds;
  return makeSlice(start ?? null, stop ?? null, step ?? 1);
}

function makeSlice(start: number | null, stop: number | null, step: number): Slice {
  for (const bound of [start, stop]) {
    if (bound !== null && !Number.isInteger(bound)) {
      throw argumentError("torch.slice", "start or stop", "an integer or null", bound);
    }
  }
  if (!Number.isInteger(step) || step < 1) {
    throw argumentError("torch.slice", "step", "an integer above 0", step);
  }
  return new Slice(start, stop, step);
}

/** A program writes few different ones, and reading one takes as long as half a slice. */
const parsedSlices = new Map<string, Slice>();
const PARSED_SLICES_KEPT = 1000;

function parseSlice(text: string): Slice {
  let parsed = parsedSlices.get(text);
  if (parsed === undefined) {
    parsed = readSlice(text);
    if (parsedSlices.size < PARSED_SLICES_KEPT) parsedSlices.set(text, parsed);
  }
  return parsed;
}

function readSlice(text: string): Slice {
  const match = /^\s*([+-]?\d*)\s*:\s*([+-]?\d*)\s*(?::\s*([+-]?\d*)\s*)?$/.exec(text);
  const bound = (part: string | undefined) =>
    part === undefined || part === "" ? null : Number(part);
  if (match === null) throw argumentError("index", "index", 'a slice such as "1:3" or "::2"', text);
  return makeSlice(bound(match[1]), bound(match[2]), bound(match[3]) ?? 1);
}

let selectOperator = -1;
let sliceOperator = -1;
const unsqueeze = nativeOperator("aten::unsqueeze");
const alias = nativeOperator("aten::alias");
const gather = nativeOperator("aten::index", "Tensor");
const put = nativeOperator("aten::index_put_");
const copy = nativeOperator("aten::copy_");
const fill = nativeOperator("aten::fill_", "Scalar");
const viewAs = nativeOperator("aten::view");

const WHOLE = new Set(["uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64"]);

/** A view by the simple indices, and the tensors that are left to gather by (in order of dimensions, null between). */
interface Plan {
  view: Handle;
  gathered: (Handle | null)[];
  /** What the plan made on the way; the caller frees it. */
  made: Handle[];
}

type Item = number | boolean | null | "..." | Slice | Tensor;

function itemOf(index: Index, made: Handle[]): Item {
  if (index === null || typeof index === "boolean" || index instanceof Slice) return index;
  if (index instanceof Tensor) return scalarItem(index);
  if (typeof index === "number" || typeof index === "bigint") {
    const position = Number(index);
    if (!Number.isInteger(position)) throw argumentError("index", "index", "an integer", index);
    return position;
  }
  if (index === ellipsis) return index;
  if (typeof index === "string") return parseSlice(index);
  if (Array.isArray(index)) {
    const elements = (index as readonly unknown[]).flat(Number.POSITIVE_INFINITY);
    const boolean =
      elements.length > 0 && elements.every((element) => typeof element === "boolean");
    const stray = elements.find(
      (element) => typeof element === "number" && !Number.isInteger(element),
    );
    if (stray !== undefined) throw argumentError("index", "index", "an array of integers", stray);
    const positions = tensorOf(index as NestedNumbers, { dtype: boolean ? "bool" : "int64" });
    made.push(positions.handle);
    return positions;
  }
  throw argumentError(
    "index",
    "index",
    'an integer, a slice ("1:3" or torch.slice), "...", null, a boolean, a Tensor or an array',
    index,
  );
}

/** A tensor without dimensions is a number, or a mask of one element. */
function scalarItem(index: Tensor): Item {
  if (index.ndim > 0) return index;
  const dtype = index.dtype;
  if (dtype === "bool") return index.item() as boolean;
  if (dtype === "uint8") return index.number() !== 0;
  return WHOLE.has(dtype) ? index.number() : index;
}

/** How many dimensions an index uses up. */
function consumed(item: Item): number {
  if (item === null || item === ellipsis || typeof item === "boolean") return 0;
  if (!(item instanceof Tensor)) return 1;
  return item.dtype === "bool" || item.dtype === "uint8" ? item.ndim : 1;
}

function selectAt(view: Handle, dim: number, index: number): Handle {
  try {
    if (selectOperator < 0) selectOperator = requireOperator("aten::select", "int").id;
    return callThree(selectOperator, view, dim, index);
  } catch (error) {
    if (!binding.isAlive(view)) throw error;
    const size = binding.shape(view)[dim];
    if (size !== undefined && index >= -size && index < size) throw error;
    const message =
      size === undefined
        ? "too many indices: the tensor has no dimensions"
        : `index ${index} is out of bounds for dimension ${dim} with size ${size}`;
    throw new WaveGPTError("ERR_WAVEGPT_INDEX", `index: ${message}`, {
      operator: "index",
      argument: "index",
    });
  }
}

function sliceAt(view: Handle, dim: number, { start, stop, step }: Slice): Handle {
  if (sliceOperator < 0) sliceOperator = requireOperator("aten::slice", "Tensor").id;
  let end = 2;
  numbers[0] = view;
  numbers[1] = dim;
  if (start !== null) numbers[end++] = start;
  if (stop !== null) numbers[end++] = stop;
  numbers[end] = step;
  header[NONE] = (start === null ? 0b100 : 0) | (stop === null ? 0b1000 : 0);
  return callGiven(sliceOperator, 5);
}

function plan(tensor: Tensor, indices: readonly Index[]): Plan {
  const made: Handle[] = [];
  try {
    return follow(tensor, indices, made);
  } catch (error) {
    for (const handle of made) binding.release(handle);
    throw error;
  }
}

function follow(tensor: Tensor, indices: readonly Index[], made: Handle[]): Plan {
  const items = indices.map((index) => itemOf(index, made));
  const ndim = tensor.ndim;
  let named = 0;
  let ellipses = 0;
  for (const item of items) {
    named += consumed(item);
    if (item === ellipsis) ellipses += 1;
  }
  if (named > ndim) {
    throw new WaveGPTError(
      "ERR_WAVEGPT_INDEX",
      `index: too many indices: the tensor has ${ndim} dimensions (shape [${tensor.shape.join(", ")}]), the indices name ${named}`,
      { operator: "index" },
    );
  }
  if (ellipses > 1) {
    throw new WaveGPTError("ERR_WAVEGPT_INDEX", 'index: only one "..." may be given', {
      operator: "index",
    });
  }
  let view = tensor.handle;
  const step = (handle: unknown) => {
    view = handle as Handle;
    made.push(view);
  };
  let dim = 0;
  // Where each gathering index stands among the dimensions of `view`, which a mask of k dimensions covers k of.
  const gathered: (Handle | null)[] = [];
  const record = (handle: Handle, at: number, covered: number) => {
    while (gathered.length < at) gathered.push(null);
    gathered.push(handle);
    return covered;
  };
  let extra = 0;
  for (const item of items) {
    if (typeof item === "number") {
      step(selectAt(view, dim, item));
    } else if (item instanceof Slice) {
      if (item.start !== null || item.stop !== null || item.step !== 1) {
        step(sliceAt(view, dim, item));
      }
      dim += 1;
    } else if (item === ellipsis) {
      dim += ndim - named;
    } else if (item === null) {
      step(unsqueeze(view, dim));
      dim += 1;
    } else if (typeof item === "boolean") {
      step(unsqueeze(view, dim));
      const positions = tensorOf(item ? [0] : [], { dtype: "int64" });
      made.push(positions.handle);
      record(positions.handle, dim - extra, 1);
      dim += 1;
    } else {
      record(item.handle, dim - extra, consumed(item));
      extra += consumed(item) - 1;
      dim += consumed(item);
    }
  }
  return { view, gathered, made };
}

/** Whether there are but numbers and slice texts, for which nothing has to be planned. */
function areSimple(indices: readonly Index[]): indices is readonly (number | SliceText)[] {
  for (let at = 0; at < indices.length; at += 1) {
    const index = indices[at];
    const simple =
      typeof index === "number"
        ? Number.isInteger(index)
        : typeof index === "string" && index !== ellipsis;
    if (!simple) return false;
  }
  return true;
}

function readSimple(tensor: Tensor, indices: readonly (number | SliceText)[]): Tensor {
  const whole = tensor.handle;
  let view = whole;
  let dim = 0;
  try {
    for (let at = 0; at < indices.length; at += 1) {
      const index = indices[at]!;
      const before = view;
      if (typeof index === "number") {
        view = selectAt(view, dim, index);
      } else {
        const part = parseSlice(index);
        const all = part.start === null && part.stop === null && part.step === 1;
        if (!all) view = sliceAt(view, dim, part);
        dim += 1;
      }
      if (before !== view && before !== whole) binding.release(before);
    }
  } catch (error) {
    if (view !== whole) binding.release(view);
    throw error;
  }
  return new Tensor(view === whole ? (alias(view) as Handle) : view);
}

/** `x.at(...indices)`. */
export function readIndex(tensor: Tensor, indices: readonly Index[]): Tensor {
  const [first] = indices;
  if (indices.length === 1 && typeof first === "number" && Number.isInteger(first)) {
    return new Tensor(selectAt(tensor.handle, 0, first));
  }
  if (areSimple(indices) && indices.length <= tensor.ndim) return readSimple(tensor, indices);
  const { view, gathered, made } = plan(tensor, indices);
  try {
    if (gathered.length > 0) return new Tensor(gather(view, gathered) as Handle);
    if (view === tensor.handle) return new Tensor(alias(view) as Handle);
    made.pop(); // the view itself is the result
    return new Tensor(view);
  } finally {
    for (const handle of made) binding.release(handle);
  }
}

/** `x.set(indices, value)`. */
export function writeIndex(tensor: Tensor, indices: readonly Index[], value: IndexValue): void {
  if (!Array.isArray(indices)) {
    throw argumentError("set", "index", "an array of indices", indices);
  }
  const { view, gathered, made } = plan(tensor, indices);
  try {
    if (gathered.length === 0 && isScalar(value)) {
      fill(view, value);
      return;
    }
    let source: Handle;
    if (value instanceof Tensor) {
      source = value.handle;
    } else {
      const device = tensor.device;
      const converted = tensorOf(value as NestedNumbers, { dtype: tensor.dtype, device });
      source = converted.handle;
      made.push(source);
    }
    if (gathered.length > 0) {
      put(view, gathered, source, false);
    } else {
      copy(view, withoutLeadingOnes(view, source, made));
    }
  } finally {
    for (const handle of made) binding.release(handle);
  }
}

function isScalar(value: IndexValue): value is number | bigint | boolean | Complex {
  return !(value instanceof Tensor) && !Array.isArray(value);
}

/** numpy's rule, and PyTorch's: a value may have more dimensions than the place if the leading ones are 1. */
function withoutLeadingOnes(place: Handle, source: Handle, made: Handle[]): Handle {
  const shape = binding.shape(source);
  let extra = shape.length - binding.dim(place);
  let first = 0;
  while (extra > 0 && shape[first] === 1) {
    first += 1;
    extra -= 1;
  }
  if (first === 0) return source;
  const view = viewAs(source, shape.slice(first)) as Handle;
  made.push(view);
  return view;
}
