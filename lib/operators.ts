import { operatorFunction, operatorMethod } from "./dispatch.js";
import type { TorchFunctions } from "./generated/functions.js";
import type {
  FftFunctions,
  LinalgFunctions,
  NnFunctions,
  SpecialFunctions,
} from "./generated/groups.js";
import { FFT, FUNCTIONS, LINALG, METHODS, NN, SPECIAL } from "./generated/table.js";
import { camelCase } from "./signature.js";
import { Tensor } from "./tensor.js";

/** The entries of one table of `generated/table.ts`. */
function* entries(table: string): Generator<[operator: string, name: string, overloads: string]> {
  for (const line of table.trim().split("\n")) {
    const space = line.indexOf(" ");
    const [operator, name] = line.slice(0, space).split(":") as [string, string | undefined];
    yield [`aten::${operator}`, name ?? camelCase(operator), line.slice(space + 1)];
  }
}

function functionsOf(table: string): Record<string, unknown> {
  const functions: Record<string, unknown> = {};
  for (const [operator, name, overloads] of entries(table)) {
    functions[name] = operatorFunction(operator, overloads);
  }
  return functions;
}

for (const [operator, name, overloads] of entries(METHODS)) {
  if (Object.hasOwn(Tensor.prototype, name)) continue;
  Object.defineProperty(Tensor.prototype, name, {
    value: operatorMethod(operator, overloads),
    writable: true,
    configurable: true,
  });
}

/** The operators that are functions of `torch`. */
export const functions = functionsOf(FUNCTIONS) as unknown as TorchFunctions;
/** The operators that PyTorch keeps in `torch._C._nn`. */
export const nnFunctional = functionsOf(NN) as unknown as NnFunctions;
/** `torch.linalg`. */
export const linalg = functionsOf(LINALG) as unknown as LinalgFunctions;
/** `torch.fft`. */
export const fft = functionsOf(FFT) as unknown as FftFunctions;
/** `torch.special`. */
export const special = functionsOf(SPECIAL) as unknown as SpecialFunctions;
