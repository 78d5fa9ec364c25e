/**
 * What the addon (`binding/`) exports. One call reaches every operator; a tensor is an integer handle.
 *
 * A handle is a positive number `generation * 2**32 + slot`. A freed slot gets a new generation, so a
 * stale handle is always caught. Plain small numbers are never valid handles.
 */
export type Handle = number;

/** One argument of an operator, as the loaded libtorch's schema reports it. */
export interface ArgumentSchema {
  /** The schema's own (snake_case) name. */
  readonly name: string;
  /** The full schema type, e.g. `"Tensor?"` or `"SymInt[2]?"`. */
  readonly type: string;
  /** The innermost type: lists and optionals taken away, `SymInt` reported as `int`. */
  readonly base:
    | "Tensor"
    | "int"
    | "float"
    | "bool"
    | "Scalar"
    | "str"
    | "ScalarType"
    | "Layout"
    | "MemoryFormat"
    | "Device"
    | "Generator"
    | "complex"
    | "unsupported";
  readonly list: boolean;
  /** `T?` or `T[]?`: null may be passed. */
  readonly optional: boolean;
  /** `T?[]`: elements may be null. */
  readonly elementOptional: boolean;
  /** `int[N]`: one number stands for N of them. 0 where there is no N. */
  readonly size: number;
  readonly hasDefault: boolean;
  readonly kwargOnly: boolean;
  /** Written to by the operator (`Tensor(a!)`). */
  readonly mutated: boolean;
}

export interface ReturnSchema {
  readonly name: string;
  readonly type: string;
  readonly base: ArgumentSchema["base"];
  readonly list: boolean;
  /** The index of the argument that is returned itself (in-place, `out`), or -1. */
  readonly argument: number;
}

export interface OperatorSchema {
  readonly id: number;
  /** With its namespace, e.g. `"aten::add"`. */
  readonly name: string;
  /** E.g. `"Tensor"`; empty for the default overload. */
  readonly overload: string;
  readonly schema: string;
  readonly arguments: readonly ArgumentSchema[];
  readonly returns: readonly ReturnSchema[];
  /** Why this operator is refused (libtorch ends the process on bad arguments), or null. */
  readonly refused: string | null;
}

export type NativeTypedArray =
  | Uint8Array
  | Uint8ClampedArray
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array;

export interface MemoryStatistics {
  /** Live tensor handles of this environment (thread). */
  readonly handles: number;
  /** Bytes of the distinct storages behind them. */
  readonly bytes: number;
  readonly scopes: number;
  readonly generators: number;
  /** Bytes reported to V8 as external memory. */
  readonly externalBytes: number;
}

/** What large CPU tensors (64 KiB and more) take, all threads together; in bytes. All 0 where libtorch's own allocator serves. */
export interface CpuMemoryStatistics {
  /** Of living tensors, in whole pages. */
  readonly allocated: number;
  /** Held in RAM: `allocated` and what is kept for tensors to come. */
  readonly reserved: number;
  /** The most of `allocated` since the last reset. */
  readonly peakAllocated: number;
  /** The most of `reserved` since the last reset. */
  readonly peakReserved: number;
  /** Ever taken from the system: it stands still while tensors find their memory in what is kept. */
  readonly taken: number;
}

export interface BuildInformation {
  readonly libtorch: string;
  readonly compiledFor: string;
  readonly cpuCapability: string;
  readonly parallel: string;
  readonly config: string;
  readonly compiler: string;
}

export interface AutocastState {
  readonly enabled: boolean;
  /** ScalarType code. */
  readonly dtype: number;
  readonly cacheEnabled: boolean;
}

/** From `createCudaGraph`; freed with the object. */
export type NativeCudaGraph = object;

/** From `createTokenReader`; closed with the object. */
export type NativeTokenReader = object;

/** What a profile recorded, from `stopProfiler`; freed with the object. */
export type ProfilerTrace = object;

/** One event of a profile. Times are microseconds. */
export interface ProfilerEvent {
  /** An operator's or range's name, or a GPU kernel's. */
  readonly name: string;
  /** Since the profile began. */
  readonly start: number;
  readonly duration: number;
  /** libtorch's number of the thread that it ran or was launched on. */
  readonly thread: number;
  /** Where it ran: `"cpu"`, `"cuda"`. */
  readonly deviceType: string;
  /** A range that `recordFunction` named, not an operator. */
  readonly isUserAnnotation: boolean;
  /** Ends independently of what began around it. */
  readonly isAsync: boolean;
  readonly correlation: number;
  /** The `correlation` of the operator that launched a kernel, else 0. */
  readonly linkedCorrelation: number;
}

/**
 * Every function throws a JavaScript error with `code` (`ERR_WAVEGPT_*`) and, where they apply,
 * `operator` and `argument` properties. Device strings are PyTorch's ("cpu", "cuda:0").
 */
export interface NativeBinding {
  buildInformation(): BuildInformation;
  /** Why the kernels for CUDA are not in use; null where they are. */
  cudaKernels(): string | null;

  // Operators
  operatorNames(): string[];
  findOperator(name: string, overload: string): OperatorSchema | null;
  /**
   * Calls an operator. `args` stand in schema order; `undefined` (or a missing tail) is the default,
   * `null` is None. Tensors and generators are passed as handles, lists as arrays, dtypes, layouts and
   * memory formats as libtorch's integer codes, devices as strings, ints as number or bigint.
   * Tensor results come back as handles owned by the innermost open scope (null where undefined), several
   * results as an array, a result that is an argument itself (`ReturnSchema.argument >= 0`) as undefined.
   */
  call(id: number, ...args: unknown[]): unknown;
  /** The call frame: memory shared with the binding, see `frame.ts`. Always the same buffer. */
  frame(): ArrayBuffer;
  /**
   * Calls the operator whose number and arguments stand in the call frame: as `call`, without a call of Node-API for
   * each value. A tensor that it returns stands in the frame then, anything else is returned as by `call`.
   */
  callFrame(): unknown;

  // Ownership
  /** Opens a scope and returns its depth (1 is the outermost). */
  openScope(): number;
  /** Frees the temporaries of the scope at `depth`, which must be the innermost; returns how many. */
  closeScope(depth: number): number;
  scopeDepth(): number;
  /** Takes a tensor out of its scope: it lives until `release`. */
  keep(handle: Handle): void;
  /**
   * Moves a tensor of the scope at `depth` to the scope around it (or out of all scopes); does nothing to a
   * tensor of another scope. Returns whether the tensor is outside all scopes now.
   */
  moveToOuterScope(handle: Handle, depth: number): boolean;
  /** Whether the tensor belongs to an open scope. */
  isScoped(handle: Handle): boolean;
  release(handle: Handle): void;
  isAlive(handle: Handle): boolean;
  memory(): MemoryStatistics;

  // Data
  /** Copies. `dtype` is a ScalarType code whose element size must fit the array's. */
  fromTypedArray(data: NativeTypedArray, shape: readonly number[], dtype: number): Handle;
  /** Shares memory with `data` until the tensor's storage is freed. */
  fromSharedTypedArray(data: NativeTypedArray, shape: readonly number[], dtype: number): Handle;
  /**
   * A copy, contiguous, of any CPU or device tensor: int64 as BigInt64Array, bool as Uint8Array,
   * float16 and bfloat16 as Uint16Array of their bits, complex as interleaved floats.
   */
  toTypedArray(handle: Handle): NativeTypedArray;
  /** No copy: shares memory with a contiguous CPU tensor and keeps its storage alive. */
  shareTypedArray(handle: Handle): NativeTypedArray;
  /** Overwrites the tensor's elements in place. */
  copyFromTypedArray(handle: Handle, data: NativeTypedArray): void;
  /** One element as number, boolean, bigint (int64 beyond 2**53) or `{ re, im }`. */
  item(handle: Handle): number | boolean | bigint | { re: number; im: number };

  /** As `item`, of the handle in the call frame; undefined where the element stands in the frame then. */
  itemInFrame(): ReturnType<NativeBinding["item"]> | undefined;

  // What a tensor is
  shape(handle: Handle): number[];
  /** As `shape`, of the handle in the call frame; undefined where the sizes stand in the frame then. */
  shapeInFrame(): number[] | undefined;
  strides(handle: Handle): number[];
  storageOffset(handle: Handle): number;
  dim(handle: Handle): number;
  numel(handle: Handle): number;
  elementSize(handle: Handle): number;
  /** ScalarType code. */
  dtype(handle: Handle): number;
  device(handle: Handle): string;
  layout(handle: Handle): number;
  isContiguous(handle: Handle): boolean;
  /** Address of the first element, for tests of sharing. */
  dataPointer(handle: Handle): bigint;
  /** How often the tensor was written in place (autograd's version counter). */
  version(handle: Handle): number;

  // Autograd
  requiresGrad(handle: Handle): boolean;
  setRequiresGrad(handle: Handle, value: boolean): void;
  isLeaf(handle: Handle): boolean;
  isInference(handle: Handle): boolean;
  /** E.g. "AddBackward0", or null. */
  gradientFunction(handle: Handle): string | null;
  retainGrad(handle: Handle): void;
  /** `cached` when it still is the gradient, else a new handle outside all scopes, or null. */
  grad(handle: Handle, cached: Handle | null): Handle | null;
  setGrad(handle: Handle, gradient: Handle | null): void;
  /** The gradients of all, or null, as temporaries of the innermost scope. */
  gradients(handles: readonly Handle[]): (Handle | null)[];
  /** As `setGrad(handle, null)` for each. */
  dropGradients(handles: readonly Handle[]): void;
  /** Another tensor's data and metadata under this variable (`Tensor.data = `). */
  setData(handle: Handle, data: Handle): void;
  isSame(a: Handle, b: Handle): boolean;
  backward(
    outputs: readonly Handle[],
    gradients: readonly (Handle | null)[] | null,
    retainGraph: boolean,
    createGraph: boolean,
    inputs: readonly Handle[] | null,
  ): void;
  autogradGrad(
    outputs: readonly Handle[],
    inputs: readonly Handle[],
    gradients: readonly (Handle | null)[] | null,
    retainGraph: boolean,
    createGraph: boolean,
    allowUnused: boolean,
  ): (Handle | null)[];

  // Modes of this thread
  isGradEnabled(): boolean;
  setGradEnabled(enabled: boolean): void;
  isInferenceMode(): boolean;
  enterInferenceMode(enabled: boolean): void;
  exitInferenceMode(): void;
  autocast(deviceType: string): AutocastState;
  /** Enters autocast for a device type; `exitAutocast` restores, in reverse order. */
  enterAutocast(deviceType: string, dtype: number, enabled: boolean, cacheEnabled: boolean): void;
  exitAutocast(): void;
  defaultDtype(): number;
  setDefaultDtype(dtype: number): void;
  setDeterministicAlgorithms(enabled: boolean, warnOnly: boolean): void;
  deterministicAlgorithms(): boolean;

  // Random numbers
  /** Seeds the default generators of every device; the whole process shares them. */
  manualSeed(seed: bigint): void;
  createGenerator(device: string): Handle;
  /** A handle to the device's default generator. */
  defaultGenerator(device: string): Handle;
  releaseGenerator(generator: Handle): void;
  generatorManualSeed(generator: Handle, seed: bigint): void;
  generatorInitialSeed(generator: Handle): bigint;
  /** Draws a non-deterministic seed, sets it and returns it. */
  generatorSeed(generator: Handle): bigint;
  generatorDevice(generator: Handle): string;
  generatorState(generator: Handle): Handle;
  setGeneratorState(generator: Handle, state: Handle): void;

  // Threads and devices
  getNumThreads(): number;
  setNumThreads(count: number): void;
  getNumInteropThreads(): number;
  setNumInteropThreads(count: number): void;
  cudaIsAvailable(): boolean;
  cudaDeviceCount(): number;
  /** Bytes allocated and reserved on a CUDA device. */
  cudaMemory(device: string): number[];
  mpsIsAvailable(): boolean;
  /** Waits for all work on the device. */
  synchronize(device: string): void;
  cpuMemory(): CpuMemoryStatistics;
  resetPeakCpuMemory(): void;
  /** Gives unused memory of the CPU allocator back to the system. */
  emptyCpuCache(): void;

  // CUDA graphs; all but the last three throw without a CUDA device and the library of its kernels
  createCudaGraph(device: string): NativeCudaGraph;
  /** Makes the graph's stream the current one, until `leaveCudaGraph`; each waits for the work before. */
  enterCudaGraph(graph: NativeCudaGraph): void;
  leaveCudaGraph(graph: NativeCudaGraph): void;
  /** Within these two; ended by `endCudaGraph`, or `abandonCudaGraph`, which never throws. */
  beginCudaGraph(graph: NativeCudaGraph): void;
  endCudaGraph(graph: NativeCudaGraph): void;
  abandonCudaGraph(graph: NativeCudaGraph): void;
  launchCudaGraph(graph: NativeCudaGraph): void;
  resetCudaGraph(graph: NativeCudaGraph): void;
  /** From here on, seeds of dropout are elements of this int64 tensor, each found there when a kernel runs. */
  beginSeedCapture(places: Handle): void;
  /** Returns how many were taken. */
  endSeedCapture(): number;
  /** Draws that many seeds from the CPU's generator into the tensor. */
  drawCapturedSeeds(places: Handle, count: number): void;

  // Batches of tokens
  /**
   * A reader of one text. `pieces` are uint16 or uint32 tensors on the CPU, whose memory it keeps; `files` names those that
   * are mapped. `stacked` batches are one tensor (3, rows, blockSize).
   */
  createTokenReader(
    pieces: readonly Handle[],
    files: readonly (string | null)[],
    blockSize: number,
    documentStart: number | null,
    stacked: boolean,
    pageLocked: boolean,
  ): NativeTokenReader;
  /** Ends its thread and frees what it holds. */
  closeTokenReader(reader: NativeTokenReader): void;
  /** `rows` are three numbers each: start, and the targets counted, from and to before. */
  requestTokenBatches(
    reader: NativeTokenReader,
    rows: Float64Array,
    rowsPerBatch: number,
    inBackground: boolean,
  ): void;
  /** The tensors of the batch asked for first, and its mask or null. */
  takeTokenBatch(reader: NativeTokenReader): (Handle | null)[];
  dropTokenBatches(reader: NativeTokenReader): void;

  // Profiles
  /** Records this thread until `stopProfiler`; a process records one profile at a time. */
  startProfiler(cpu: boolean, cuda: boolean, recordShapes: boolean): void;
  /** Ends the ranges that are open too. */
  stopProfiler(): ProfilerTrace;
  profilerEvents(trace: ProfilerTrace): ProfilerEvent[];
  /** Writes the trace as JSON, once; says nothing of failures to write. */
  saveProfilerTrace(trace: ProfilerTrace, path: string): void;
  /** A named range on this thread, or 0 where nothing is recorded. */
  beginProfilerRange(name: string): number;
  /** Ends the innermost range; does nothing to one that ended with its profile. */
  endProfilerRange(range: number): void;
}
