import { binding } from "./binding.js";
import { WaveGPTError } from "./errors.js";
import type { OperatorSchema } from "./native.js";

/** The schema of an operator. Throws `ERR_WAVEGPT_UNKNOWN_OPERATOR` where the loaded libtorch has none of that name. */
export function requireOperator(name: string, overload: string): OperatorSchema {
  const schema = binding.findOperator(name, overload);
  if (schema === null) {
    const full = overload === "" ? name : `${name}.${overload}`;
    throw new WaveGPTError(
      "ERR_WAVEGPT_UNKNOWN_OPERATOR",
      `${full}: libtorch ${binding.buildInformation().libtorch} has no such operator`,
      { operator: full },
    );
  }
  return schema;
}

/**
 * A native call of one operator, looked up when first called: arguments in schema order, as `NativeBinding.call` takes
 * them (handles, integer codes), results as it returns them.
 */
export function nativeOperator(name: string, overload = ""): (...values: unknown[]) => unknown {
  let id = -1;
  return (...values) => {
    if (id < 0) id = requireOperator(name, overload).id;
    return binding.call(id, ...values);
  };
}
