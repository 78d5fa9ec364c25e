import { DTYPES, type DType, isComplex, isFloatingPoint } from "../dtype.js";
import { WaveGPTError } from "../errors.js";
import type { Tensor } from "../tensor.js";
import { torch } from "../torch.js";
import { Buffer } from "./buffer.js";
import { Parameter } from "./parameter.js";
import { type LoadOptions, type LoadResult, loadStateDict, type StateDict } from "./state-dict.js";
import { zeroGradients } from "./zero-gradients.js";

/** A module from one tensor to one tensor, as {@link Sequential} chains them. */
export type UnaryModule = Module & { forward(input: Tensor): Tensor };

/**
 * The base of everything with parameters. A subclass's own fields are its parameters ({@link Parameter}), buffers
 * ({@link Buffer}) and children (modules), in the order the class declares them; their names are the keys of the
 * state dict. `#private` fields are not seen. An absent member (a layer without bias) is `null`.
 *
 *     class Net extends nn.Module {
 *       readonly hidden = new nn.Linear(4, 8);
 *       readonly output = new nn.Linear(8, 2);
 *       forward(x: Tensor): Tensor {
 *         return this.output.forward(this.hidden.forward(x).relu());
 *       }
 *     }
 */
export abstract class Module {
  /** Set by {@link train} and {@link eval}; dropout acts only while it is true. */
  training = true;

  /** The name and value of each own member that may be a parameter, buffer or child, in order. */
  protected *members(): Iterable<[string, unknown]> {
    for (const [name, value] of Object.entries(this)) {
      if (Array.isArray(value) && value.some(isMember)) {
        throw new WaveGPTError(
          "ERR_WAVEGPT_MODULE",
          `${this.constructor.name}.${name} is a plain array of modules, parameters or buffers, which would be ` +
            "left out of parameters() and the state dict. Expected an nn.ModuleList (or a #private field, to hide them).",
        );
      }
      yield [name, value];
    }
  }

  /** Own parameters and those of all modules below; a shared one is listed once, under its first name. */
  namedParameters(prefix = ""): [string, Parameter][] {
    return this.#named(prefix, (value) => value instanceof Parameter) as [string, Parameter][];
  }

  /** See {@link namedParameters}. */
  parameters(): Parameter[] {
    return this.namedParameters().map(([, parameter]) => parameter);
  }

  /** Own buffers and those of all modules below, persistent or not; a shared one is listed once. */
  namedBuffers(prefix = ""): [string, Buffer][] {
    return this.#named(prefix, (value) => value instanceof Buffer) as [string, Buffer][];
  }

  /** See {@link namedBuffers}. */
  buffers(): Buffer[] {
    return this.namedBuffers().map(([, buffer]) => buffer);
  }

  /** The modules directly below, each once. */
  namedChildren(): [string, Module][] {
    const seen = new Set<Module>();
    const children: [string, Module][] = [];
    for (const [name, value] of this.members()) {
      if (value instanceof Module && !seen.has(value)) {
        seen.add(value);
        children.push([name, value]);
      }
    }
    return children;
  }

  /** See {@link namedChildren}. */
  children(): Module[] {
    return this.namedChildren().map(([, child]) => child);
  }

  /** This module (under `prefix`) and all below, parents first, each once. */
  namedModules(prefix = "", seen = new Set<Module>()): [string, Module][] {
    if (seen.has(this)) {
      return [];
    }
    seen.add(this);
    const modules: [string, Module][] = [[prefix, this]];
    for (const [name, child] of this.namedChildren()) {
      modules.push(...child.namedModules(join(prefix, name), seen));
    }
    return modules;
  }

  /** See {@link namedModules}. */
  modules(): Module[] {
    return this.namedModules().map(([, module]) => module);
  }

  /** How many numbers the module learns; a shared parameter counts once. */
  numParameters({ trainableOnly = false }: { trainableOnly?: boolean } = {}): number {
    return this.parameters()
      .filter((parameter) => !trainableOnly || parameter.requiresGrad)
      .reduce((sum, parameter) => sum + parameter.numel(), 0);
  }

  /**
   * Parameters and persistent buffers by name, in PyTorch's order: own parameters, own buffers, then each child's.
   * The tensors share memory with the module's, do not require gradients, and belong to the innermost scope. A
   * shared parameter stands under each of its names. `prefix` is put in front of every name as it is.
   */
  stateDict({ prefix = "" }: { prefix?: string } = {}): StateDict {
    return Object.fromEntries(
      this.stateEntries(prefix).map(([name, tensor]) => [name, tensor.detach()]),
    );
  }

  /**
   * Copies a state dict's values into the module's parameters and buffers.
   *
   * @returns the names that were missing and unexpected (both empty when `strict`).
   * @throws WaveGPTError `ERR_WAVEGPT_STATE_DICT` that lists every missing and unexpected name (when `strict`, the
   * default) and every tensor of another shape. Nothing is loaded then.
   */
  loadStateDict(stateDict: Readonly<StateDict>, options: LoadOptions = {}): LoadResult {
    return loadStateDict(this.constructor.name, this.stateEntries(""), stateDict, options);
  }

  /** The live tensors behind {@link stateDict}. */
  protected stateEntries(prefix: string): [string, Tensor][] {
    const parameters: [string, Tensor][] = [];
    const buffers: [string, Tensor][] = [];
    const below: [string, Tensor][] = [];
    for (const [name, value] of this.members()) {
      if (value instanceof Parameter) {
        parameters.push([prefix + name, value]);
      } else if (value instanceof Buffer) {
        if (value.persistent) {
          buffers.push([prefix + name, value]);
        }
      } else if (value instanceof Module) {
        below.push(...value.stateEntries(`${prefix}${name}.`));
      }
    }
    return [...parameters, ...buffers, ...below];
  }

  /** Sets {@link training} here and in all modules below. */
  train(mode = true): this {
    for (const module of this.modules()) {
      module.training = mode;
    }
    return this;
  }

  /** `train(false)`. */
  eval(): this {
    return this.train(false);
  }

  /**
   * Moves or converts all parameters, their gradients and all buffers in place: an optimizer made before keeps its
   * parameters (though not its state's device). A dtype must be floating-point or complex and changes floating-point
   * and complex tensors only.
   */
  to(target: DType | (string & {}) | { device?: string; dtype?: DType }): this {
    const { device, dtype } = parseTarget(target);
    if (dtype !== undefined && !isFloatingPoint(dtype) && !isComplex(dtype)) {
      throw new WaveGPTError(
        "ERR_WAVEGPT_ARGUMENT",
        `Module.to() takes a floating-point or complex dtype; got ${dtype}.`,
      );
    }
    const convert = (tensor: Tensor): void => {
      const numeric = isFloatingPoint(tensor.dtype) || isComplex(tensor.dtype);
      tensor.data = tensor.data.to({
        ...(device !== undefined && { device }),
        ...(dtype !== undefined && numeric && { dtype }),
      });
    };
    for (const tensor of [...this.parameters(), ...this.buffers()]) {
      using _scope = torch.scope();
      const gradient = tensor.grad;
      convert(tensor);
      if (gradient !== null) {
        convert(gradient);
      }
    }
    return this;
  }

  /** Calls `visit` with every module below and then this one. */
  apply(visit: (module: Module) => void): this {
    for (const child of this.children()) {
      child.apply(visit);
    }
    visit(this);
    return this;
  }

  /** Drops all gradients, or fills them with zeros where `setToNone` is false. */
  zeroGrad({ setToNone = true }: { setToNone?: boolean } = {}): void {
    zeroGradients(this.parameters(), setToNone);
  }

  /** Switches gradients of all parameters on or off (to freeze a module). */
  requiresGrad_(value = true): this {
    for (const parameter of this.parameters()) {
      parameter.requiresGrad_(value);
    }
    return this;
  }

  /** Frees all parameters (with their gradients) and buffers. The module cannot be used afterwards. */
  dispose(): void {
    for (const tensor of [...this.parameters(), ...this.buffers()]) {
      tensor.grad = null;
      tensor.dispose();
    }
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** What stands in the parentheses when printed, as PyTorch's `extra_repr`. */
  protected extraRepr(): string {
    return "";
  }

  /** As PyTorch's `repr`. */
  toString(): string {
    const own = this.extraRepr();
    const below = this.childLines();
    if (below.length === 0) {
      return `${this.constructor.name}(${own})`;
    }
    const lines = own === "" ? below : [own, ...below];
    return `${this.constructor.name}(\n  ${lines.join("\n  ")}\n)`;
  }

  /** One printed entry for each child, lines after the first indented. */
  protected childLines(): string[] {
    return this.namedChildren().map(([name, child]) => `(${name}): ${indent(String(child))}`);
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }

  #named(prefix: string, wanted: (value: unknown) => boolean): [string, unknown][] {
    const seen = new Set<unknown>();
    const found: [string, unknown][] = [];
    for (const [path, module] of this.namedModules(prefix)) {
      for (const [name, value] of module.members()) {
        if (wanted(value) && !seen.has(value)) {
          seen.add(value);
          found.push([join(path, name), value]);
        }
      }
    }
    return found;
  }
}

/** Indents all lines but the first by two spaces. */
export function indent(text: string): string {
  return text.replaceAll("\n", "\n  ");
}

function isMember(value: unknown): boolean {
  return value instanceof Module || value instanceof Parameter || value instanceof Buffer;
}

function join(prefix: string, name: string): string {
  return prefix === "" ? name : `${prefix}.${name}`;
}

function parseTarget(target: string | { device?: string; dtype?: DType }): {
  device?: string;
  dtype?: DType;
} {
  if (typeof target !== "string") {
    return target;
  }
  return (DTYPES as readonly string[]).includes(target)
    ? { dtype: target as DType }
    : { device: target };
}
