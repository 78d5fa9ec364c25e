import { readFileSync } from "node:fs";
import path from "node:path";
import { inject } from "vitest";

export interface Packed {
  /** Of wavegpt itself. */
  readonly wavegpt: string;
  /** Of the package with this platform's libtorch. */
  readonly libtorch: string;
  readonly dependencies: readonly string[];
  /** All of them. */
  readonly all: readonly string[];
}

/** The tarballs of `npm run pack:local`, with their folder. */
export function packed(): Packed {
  const folder = inject("packed");
  const list = JSON.parse(readFileSync(path.join(folder, "packages.json"), "utf8")) as {
    readonly published: readonly string[];
    readonly dependencies: readonly string[];
  };
  const at = (name: string) => path.join(folder, name);
  const named = (pattern: RegExp) => {
    const found = list.published.filter((name) => pattern.test(name));
    if (found.length !== 1) throw new Error(`expected one ${pattern} in ${folder}, got ${found}`);
    return at(found[0]!);
  };
  const wavegpt = named(/^wavegpt-\d/);
  const libtorch = named(/^wavegpt-libtorch-/);
  const dependencies = list.dependencies.map(at);
  return { wavegpt, libtorch, dependencies, all: [libtorch, wavegpt, ...dependencies] };
}
