import { WaveGPTError } from "../errors.js";
import { Tensor } from "../tensor.js";
import { torch } from "../torch.js";

/** Tensors by name, in order. */
export type StateDict = Record<string, Tensor>;

export interface LoadOptions {
  /** Whether missing and unexpected names are errors; true by default. Wrong shapes always are. */
  strict?: boolean;
}

export interface LoadResult {
  readonly missingKeys: string[];
  readonly unexpectedKeys: string[];
}

/** Checks everything first and then copies, so that a failure leaves the module as it was. */
export function loadStateDict(
  moduleName: string,
  entries: readonly (readonly [string, Tensor])[],
  stateDict: Readonly<StateDict>,
  { strict = true }: LoadOptions,
): LoadResult {
  const names = new Set(entries.map(([name]) => name));
  const given = new Map(Object.entries(stateDict));
  const missingKeys = [...names].filter((name) => !given.has(name));
  const unexpectedKeys = [...given.keys()].filter((name) => !names.has(name));
  const problems: string[] = [];
  if (strict && missingKeys.length > 0) {
    problems.push(`Missing: ${list(missingKeys)}.`);
  }
  if (strict && unexpectedKeys.length > 0) {
    problems.push(`Unexpected: ${list(unexpectedKeys)}.`);
  }
  for (const [name, tensor] of entries) {
    const source = given.get(name);
    if (source === undefined) {
      continue;
    }
    if (!(source instanceof Tensor)) {
      problems.push(
        `"${name}" is ${source === null ? "null" : typeof source}; a Tensor was expected.`,
      );
    } else if (!sameShape(source.shape, tensor.shape)) {
      problems.push(
        `"${name}" has shape [${source.shape.join(", ")}]; [${tensor.shape.join(", ")}] was expected.`,
      );
    }
  }
  if (problems.length > 0) {
    throw new WaveGPTError(
      "ERR_WAVEGPT_STATE_DICT",
      `The state dict does not fit ${moduleName}, and nothing was loaded:\n  ${problems.join("\n  ")}`,
    );
  }
  torch.noGrad(() => {
    for (const [name, tensor] of entries) {
      const source = given.get(name);
      if (source !== undefined) {
        tensor.copy_(source);
      }
    }
  });
  return { missingKeys, unexpectedKeys };
}

function list(names: readonly string[]): string {
  return names.map((name) => `"${name}"`).join(", ");
}

function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((size, index) => size === b[index]);
}
