import { WaveGPTError } from "../errors.js";
import type { Tensor } from "../tensor.js";
import { indent, Module, type UnaryModule } from "./module.js";

/** Modules in order, named `"0"`, `"1"`, ... */
abstract class ModuleArray<M extends Module> extends Module implements Iterable<M> {
  readonly #modules: M[];

  constructor(modules: Iterable<M>) {
    super();
    this.#modules = [...modules];
    for (const module of this.#modules) {
      checkModule(this, module);
    }
  }

  protected override *members(): Iterable<[string, unknown]> {
    for (const [index, module] of this.#modules.entries()) {
      yield [String(index), module];
    }
  }

  get length(): number {
    return this.#modules.length;
  }

  /** The module at `index`; negative indices count from the end. Out of range is an error. */
  at(index: number): M {
    const module = this.#modules.at(index);
    if (module === undefined) {
      throw new WaveGPTError(
        "ERR_WAVEGPT_ARGUMENT",
        `${this.constructor.name} has ${this.length} modules; got index ${index}.`,
      );
    }
    return module;
  }

  /** Appends modules and returns the new length. */
  push(...modules: M[]): number {
    for (const module of modules) {
      checkModule(this, module);
    }
    return this.#modules.push(...modules);
  }

  [Symbol.iterator](): IterableIterator<M> {
    return this.#modules[Symbol.iterator]();
  }
}

/** Calls its modules one after the other. */
export class Sequential extends ModuleArray<UnaryModule> {
  constructor(...modules: UnaryModule[]) {
    super(modules);
  }

  forward(input: Tensor): Tensor {
    let output = input;
    for (const module of this) {
      output = module.forward(output);
    }
    return output;
  }
}

/** A list of modules that a module can have as a field. It has no `forward`. */
export class ModuleList<M extends Module = Module> extends ModuleArray<M> {
  constructor(modules: Iterable<M> = []) {
    super(modules);
  }

  /** Runs of modules that print alike take one entry, as in PyTorch: `(0-3): 4 x Block(...)`. */
  protected override childLines(): string[] {
    const runs: { first: number; last: number; text: string }[] = [];
    for (const [index, module] of [...this].entries()) {
      const text = indent(String(module));
      const run = runs.at(-1);
      if (run?.text === text) {
        run.last = index;
      } else {
        runs.push({ first: index, last: index, text });
      }
    }
    return runs.map(({ first, last, text }) =>
      first === last ? `(${first}): ${text}` : `(${first}-${last}): ${last - first + 1} x ${text}`,
    );
  }
}

/** Modules by name. */
export class ModuleDict<M extends Module = Module> extends Module {
  readonly #modules: Map<string, M>;

  constructor(modules: Readonly<Record<string, M>> = {}) {
    super();
    this.#modules = new Map(Object.entries(modules));
    for (const module of this.#modules.values()) {
      checkModule(this, module);
    }
  }

  protected override *members(): Iterable<[string, unknown]> {
    yield* this.#modules;
  }

  /** The module of that name. An unknown name is an error. */
  get(name: string): M {
    const module = this.#modules.get(name);
    if (module === undefined) {
      throw new WaveGPTError(
        "ERR_WAVEGPT_ARGUMENT",
        `ModuleDict has no module "${name}"; it has ${[...this.#modules.keys()].map((key) => `"${key}"`).join(", ") || "none"}.`,
      );
    }
    return module;
  }

  has(name: string): boolean {
    return this.#modules.has(name);
  }

  set(name: string, module: M): this {
    checkModule(this, module);
    this.#modules.set(name, module);
    return this;
  }

  get size(): number {
    return this.#modules.size;
  }

  [Symbol.iterator](): IterableIterator<[string, M]> {
    return this.#modules[Symbol.iterator]();
  }
}

function checkModule(container: Module, module: unknown): void {
  if (!(module instanceof Module)) {
    throw new WaveGPTError(
      "ERR_WAVEGPT_ARGUMENT",
      `${container.constructor.name} takes modules; got ${module === null ? "null" : typeof module}.`,
    );
  }
}
