import { type BackwardOptions, backwardFrom } from "./backward.js";
import { binding } from "./binding.js";
import { checkDevice, type Device } from "./device.js";
import { type DType, dtypeCode, dtypeName, isComplex, isDType } from "./dtype.js";
import { addDescriber, argumentError } from "./errors.js";
import { dimensionsOf, itemOf, shapeOf } from "./frame.js";
import type { TensorMethods } from "./generated/methods.js";
import { type Index, type IndexValue, readIndex, writeIndex } from "./indexing.js";
import { layoutName, memoryFormatCode } from "./layout.js";
import type { Handle, NativeTypedArray } from "./native.js";
import { nativeOperator } from "./operator.js";
import { ownership, releaseWhenCollected } from "./ownership.js";
import { formatTensor } from "./print.js";
import type { Complex, Layout, MemoryFormat } from "./types.js";
import { flatValues, type NestedValues, nest, type Value } from "./values.js";

const transposed = nativeOperator("aten::numpy_T");
const matrixTransposed = nativeOperator("aten::mT");
const adjoint = nativeOperator("aten::matrix_H");
const matrixAdjoint = nativeOperator("aten::mH");
const detached = nativeOperator("aten::detach");
const realPart = nativeOperator("aten::real");
const imaginaryPart = nativeOperator("aten::imag");
const nonzeroRows = nativeOperator("aten::nonzero");
const nonzeroDims = nativeOperator("aten::nonzero_numpy");
const toDtype = nativeOperator("aten::to", "dtype");
const toDevice = nativeOperator("aten::to", "device");

/** What `Tensor.to` changes; what is absent stays. */
export interface ToOptions {
  dtype?: DType | undefined;
  device?: Device | undefined;
  /** From page-locked memory to a CUDA device without waiting. Default false. */
  nonBlocking?: boolean | undefined;
  /** A new tensor even where nothing changes. Default false. */
  copy?: boolean | undefined;
  memoryFormat?: MemoryFormat | undefined;
}

export interface Tensor extends TensorMethods {}

/**
 * A tensor of the loaded libtorch: a small object with an integer handle. Its operators (`add`, `matmul`, `sum`, ...)
 * are generated from libtorch's schemas, see `generated/methods.ts`.
 *
 * A tensor made while a scope is open belongs to that scope; outside all scopes it lives until `dispose()`, or until
 * some time after its object is unreachable. Using it later throws an error that names the operator and the argument.
 */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: operators.ts installs the generated methods on the prototype.
export class Tensor {
  /** The native handle. */
  readonly handle: Handle;
  private gradient: Tensor | null;

  /** Wraps a native handle that no other object wraps. Use `torch.tensor(...)` to make a tensor from values. */
  constructor(handle: Handle) {
    this.handle = handle;
    this.gradient = null;
    if (ownership.depth === 0) releaseWhenCollected(this, handle);
  }

  /** The sizes of the dimensions. */
  get shape(): number[] {
    return shapeOf(this.handle);
  }

  get dtype(): DType {
    return dtypeName(binding.dtype(this.handle));
  }

  /** E.g. `"cpu"` or `"cuda:0"`. */
  get device(): Device {
    return binding.device(this.handle);
  }

  get layout(): Layout {
    return layoutName(binding.layout(this.handle));
  }

  /** The number of dimensions. */
  get ndim(): number {
    return dimensionsOf(this.handle);
  }

  dim(): number {
    return dimensionsOf(this.handle);
  }

  /** The number of elements. */
  numel(): number {
    return binding.numel(this.handle);
  }

  /** All sizes, or the one of a dimension (negative counts from the end). */
  size(): number[];
  size(dim: number): number;
  size(dim?: number): number | number[] {
    const shape = shapeOf(this.handle);
    return dim === undefined ? shape : shape[this.wrapDim("size", dim, shape.length)]!;
  }

  /** The strides in elements, or the one of a dimension. */
  stride(): number[];
  stride(dim: number): number;
  stride(dim?: number): number | number[] {
    const strides = binding.strides(this.handle);
    return dim === undefined ? strides : strides[this.wrapDim("stride", dim, strides.length)]!;
  }

  private wrapDim(operator: string, dim: number, ndim: number): number {
    if (!Number.isInteger(dim) || dim < -ndim || dim >= ndim) {
      throw argumentError(operator, "dim", `an integer from ${-ndim} to ${ndim - 1}`, dim);
    }
    return dim < 0 ? dim + ndim : dim;
  }

  /** Where the first element lies in the storage, in elements. */
  storageOffset(): number {
    return binding.storageOffset(this.handle);
  }

  /** Bytes of one element. */
  elementSize(): number {
    return binding.elementSize(this.handle);
  }

  /** Bytes of one element. */
  get itemsize(): number {
    return binding.elementSize(this.handle);
  }

  /** Bytes of all elements. */
  get nbytes(): number {
    return binding.elementSize(this.handle) * binding.numel(this.handle);
  }

  isContiguous(): boolean {
    return binding.isContiguous(this.handle);
  }

  /** The address of the first element. */
  get dataPointer(): bigint {
    return binding.dataPointer(this.handle);
  }

  /** How often the tensor was written in place: autograd's version counter. */
  get version(): number {
    return binding.version(this.handle);
  }

  get isCuda(): boolean {
    return binding.device(this.handle).startsWith("cuda");
  }

  /** The dimensions reversed. */
  get T(): Tensor {
    return new Tensor(transposed(this.handle) as Handle);
  }

  /** The last two dimensions swapped. */
  get mT(): Tensor {
    return new Tensor(matrixTransposed(this.handle) as Handle);
  }

  /** The conjugate transpose of a matrix. */
  get H(): Tensor {
    return new Tensor(adjoint(this.handle) as Handle);
  }

  /** The conjugate transpose of the last two dimensions. */
  get mH(): Tensor {
    return new Tensor(matrixAdjoint(this.handle) as Handle);
  }

  /** The real parts, a view; the tensor itself where it is real. */
  get real(): Tensor {
    return isComplex(this.dtype) ? new Tensor(realPart(this.handle) as Handle) : this;
  }

  /** The imaginary parts of a complex tensor, a view. */
  get imag(): Tensor {
    return new Tensor(imaginaryPart(this.handle) as Handle);
  }

  // Autograd

  /** Whether autograd records operations on this tensor. Set on leaves only. */
  get requiresGrad(): boolean {
    return binding.requiresGrad(this.handle);
  }

  set requiresGrad(value: boolean) {
    binding.setRequiresGrad(this.handle, value);
  }

  requiresGrad_(value = true): this {
    binding.setRequiresGrad(this.handle, value);
    return this;
  }

  get isLeaf(): boolean {
    return binding.isLeaf(this.handle);
  }

  /** What made this tensor, e.g. `"AddBackward0"`; null on leaves. */
  get gradFn(): string | null {
    return binding.gradientFunction(this.handle);
  }

  /** Keeps the gradient of a tensor that is no leaf. */
  retainGrad(): void {
    binding.retainGrad(this.handle);
  }

  /**
   * The gradient that `backward` accumulates, or null. It belongs to no scope: it lives as long as it is this tensor's
   * gradient. Setting null (or another tensor) frees the object read from here before; `clone()` what must outlive it.
   */
  get grad(): Tensor | null {
    const cached = this.gradient;
    const handle = binding.grad(this.handle, cached === null ? null : cached.handle);
    if (handle === null) {
      this.gradient = null;
    } else if (cached === null || handle !== cached.handle) {
      const gradient = new Tensor(handle);
      if (ownership.depth > 0) releaseWhenCollected(gradient, handle);
      this.gradient = gradient;
    }
    return this.gradient;
  }

  set grad(value: Tensor | null) {
    const old = this.gradient;
    if (value !== null && value === old) return;
    binding.setGrad(this.handle, value === null ? null : value.handle);
    this.gradient = null;
    // A training step must not wait for the garbage collector to free gradients.
    if (old !== null) binding.release(old.handle);
  }

  /** Sets `grad` of all to null, in one native call. */
  static dropGradients(tensors: readonly Tensor[]): void {
    binding.dropGradients(tensors.map(({ handle }) => handle));
    for (const tensor of tensors) {
      const { gradient } = tensor;
      if (gradient === null) continue;
      tensor.gradient = null;
      binding.release(gradient.handle);
    }
  }

  /** The same memory without autograd history. Setting it gives this tensor another one's memory, shape and type. */
  get data(): Tensor {
    return new Tensor(detached(this.handle) as Handle);
  }

  set data(value: Tensor) {
    binding.setData(this.handle, value.handle);
  }

  /**
   * Computes the gradients of this tensor with respect to the graph's leaves, and adds them to their `grad`.
   * @param gradient the gradient of what follows; may be absent for a tensor of one element
   */
  backward(gradient?: Tensor | null, options?: BackwardOptions): void {
    backwardFrom([this], gradient == null ? null : [gradient], options);
  }

  // Values

  /** The one element: a boolean, a number, a bigint for an int64 beyond 2**53, or `{ re, im }`. */
  item(): Value {
    return itemOf(this.handle);
  }

  /** The one element as a JavaScript number. Throws for a complex one. */
  number(): number {
    const value = itemOf(this.handle);
    if (typeof value === "object") throw argumentError("number", "self", "a real number", value);
    return Number(value);
  }

  /** The elements as nested arrays, a plain value for a scalar. */
  tolist(): NestedValues {
    return nest<Value>(flatValues(this), this.shape);
  }

  /**
   * A copy of the elements in row-major order: bool as Uint8Array, int64 as BigInt64Array, float16 and bfloat16 as
   * Uint16Array of their bits, complex as interleaved parts.
   */
  toTypedArray(): NativeTypedArray {
    return binding.toTypedArray(this.handle);
  }

  /** The elements themselves, not a copy; a contiguous CPU tensor only. */
  shareTypedArray(): NativeTypedArray {
    return binding.shareTypedArray(this.handle);
  }

  /** Overwrites the elements, in row-major order. */
  copyFrom(data: NativeTypedArray): this {
    binding.copyFromTypedArray(this.handle, data);
    return this;
  }

  // Types and devices

  /** Another dtype, device or both; the tensor itself where nothing changes. */
  to(dtype: DType): Tensor;
  to(device: Device): Tensor;
  to(options: ToOptions): Tensor;
  /** The dtype and device of another tensor. */
  to(other: Tensor, options?: Omit<ToOptions, "dtype" | "device">): Tensor;
  to(target: DType | Device | ToOptions | Tensor, options?: ToOptions): Tensor {
    let wanted: ToOptions;
    if (target instanceof Tensor) {
      wanted = { ...options, dtype: target.dtype, device: target.device };
    } else if (typeof target === "string") {
      wanted = isDType(target) ? { ...options, dtype: target } : { ...options, device: target };
    } else if (typeof target === "object" && target !== null) {
      wanted = target;
    } else {
      throw argumentError("to", "target", "a dtype, a device, a Tensor or options", target);
    }
    const dtype = wanted.dtype === undefined ? binding.dtype(this.handle) : dtypeCode(wanted.dtype);
    const rest = [
      wanted.nonBlocking ?? false,
      wanted.copy ?? false,
      wanted.memoryFormat === undefined ? null : memoryFormatCode(wanted.memoryFormat),
    ];
    if (wanted.device !== undefined) checkDevice("to", wanted.device);
    const result =
      wanted.device === undefined
        ? toDtype(this.handle, dtype, ...rest)
        : toDevice(this.handle, wanted.device, dtype, ...rest);
    return this.unlessSame(result as Handle);
  }

  /** libtorch hands the tensor itself back where nothing changes: then it is this object, not a second one. */
  private unlessSame(handle: Handle): Tensor {
    if (!binding.isSame(this.handle, handle)) return new Tensor(handle);
    binding.release(handle);
    return this;
  }

  cpu(): Tensor {
    return this.to({ device: "cpu" });
  }

  cuda(index?: number): Tensor {
    return this.to({ device: index === undefined ? "cuda" : `cuda:${index}` });
  }

  float(): Tensor {
    return this.to("float32");
  }

  double(): Tensor {
    return this.to("float64");
  }

  half(): Tensor {
    return this.to("float16");
  }

  bfloat16(): Tensor {
    return this.to("bfloat16");
  }

  long(): Tensor {
    return this.to("int64");
  }

  int(): Tensor {
    return this.to("int32");
  }

  short(): Tensor {
    return this.to("int16");
  }

  byte(): Tensor {
    return this.to("uint8");
  }

  bool(): Tensor {
    return this.to("bool");
  }

  // Indexing

  /** Reads as Python's `x[...]` does; see `Index` for what may stand in it. */
  at(...index: Index[]): Tensor {
    return readIndex(this, index);
  }

  /** Writes as Python's `x[...] = value` does. */
  set(index: readonly Index[], value: IndexValue): this {
    writeIndex(this, index, value);
    return this;
  }

  /** The places of the elements that are not zero: a row each, or one tensor a dimension with `asTuple`. */
  nonzero(options: { asTuple: true }): Tensor[];
  nonzero(options?: { asTuple?: false | undefined }): Tensor;
  nonzero(options?: { asTuple?: boolean | undefined }): Tensor | Tensor[] {
    if (!options?.asTuple) return new Tensor(nonzeroRows(this.handle) as Handle);
    return (nonzeroDims(this.handle) as Handle[]).map((handle) => new Tensor(handle));
  }

  /** The slices along the first dimension. */
  [Symbol.iterator](): Iterator<Tensor> {
    if (this.ndim === 0) {
      throw argumentError("iterate", "self", "a tensor of at least one dimension", this);
    }
    return this.unbind(0)[Symbol.iterator]();
  }

  // Life

  /** Whether the memory has not been freed by `dispose` or by the end of a scope. */
  get isAlive(): boolean {
    return binding.isAlive(this.handle);
  }

  /** Whether both are the same tensor of libtorch, not only equal ones. */
  isSame(other: Tensor): boolean {
    return this === other || binding.isSame(this.handle, other.handle);
  }

  /** Frees the tensor now. Views of it and autograd's own references stay valid. */
  dispose(): void {
    binding.release(this.handle);
  }

  [Symbol.dispose](): void {
    binding.release(this.handle);
  }

  /** As PyTorch prints it. */
  toString(): string {
    return formatTensor(this);
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.isAlive ? this.toString() : "tensor(<disposed>)";
  }
}

/** A new handle to the same memory without autograd history, which an object of its own may wrap. */
export function detachedHandle(tensor: Tensor): Handle {
  return detached(tensor.handle) as Handle;
}

addDescriber((value) => {
  if (!(value instanceof Tensor)) return null;
  if (!value.isAlive) return "a Tensor that was disposed";
  return `Tensor ${value.dtype} [${value.shape.join(", ")}]`;
});

export type { BackwardOptions, Complex };
