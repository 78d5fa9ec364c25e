import { WaveGPTError } from "../errors.js";
import type { Handle } from "../native.js";
import { nativeOperator } from "../operator.js";
import { Tensor } from "../tensor.js";
import { torch } from "../torch.js";

const normsOf = nativeOperator("aten::_foreach_norm", "Scalar");
const multiplyEach = nativeOperator("aten::_foreach_mul_", "Tensor");
const raiseEach = nativeOperator("aten::_foreach_clamp_min_", "Scalar");
const lowerEach = nativeOperator("aten::_foreach_clamp_max_", "Scalar");

export interface ClipNormOptions {
  /** Which p-norm; 2 by default, Infinity for the largest absolute value. */
  normType?: number;
  /** Whether a norm that is NaN or infinite is an error; false by default. Costs a device synchronisation. */
  errorIfNonfinite?: boolean;
}

/**
 * Scales the gradients in place so that the norm of all of them together is at most `maxNorm`.
 *
 * @returns the norm before, a temporary of the innermost scope on the first gradient's device.
 */
export function clipGradNorm_(
  parameters: Iterable<Tensor> | Tensor,
  maxNorm: number,
  { normType = 2, errorIfNonfinite = false }: ClipNormOptions = {},
): Tensor {
  return torch.noGrad(() =>
    torch.tidy(() => {
      const gradients = gradientsOf(parameters);
      const [first] = gradients;
      if (first === undefined) {
        return torch.tensor(0);
      }
      const groups = byDeviceAndDtype(gradients);
      const norms = groups.flatMap((group) => normOfEach(group, normType));
      const total = torch.linalg.vectorNorm(
        torch.stack(norms.map((norm) => norm.to({ device: first.device }))),
        { ord: normType },
      );
      if (errorIfNonfinite) checkFinite(total, normType);
      // Clamped rather than tested, which would wait for the device.
      const coefficient = total.add(1e-6).reciprocal().mul(maxNorm).clamp({ max: 1 });
      for (const group of groups) {
        multiplyEach(handles(group), coefficient.to({ device: (group[0] ?? first).device }).handle);
      }
      return total;
    }),
  );
}

/** Throws `ERR_WAVEGPT_NONFINITE` where a norm of gradients is NaN or infinite. */
export function checkFinite(norm: Tensor, normType: number): void {
  const value = norm.number();
  if (!Number.isFinite(value)) {
    throw new WaveGPTError(
      "ERR_WAVEGPT_NONFINITE",
      `The gradients' total norm (p = ${normType}) is ${value}, so they cannot be clipped.`,
    );
  }
}

/** Limits each element of the gradients, in place, to [-clipValue, clipValue]. */
export function clipGradValue_(parameters: Iterable<Tensor> | Tensor, clipValue: number): void {
  using _scope = torch.scope();
  torch.noGrad(() => {
    for (const group of byDeviceAndDtype(gradientsOf(parameters))) {
      raiseEach(handles(group), -clipValue);
      lowerEach(handles(group), clipValue);
    }
  });
}

function normOfEach(tensors: readonly Tensor[], normType: number): Tensor[] {
  return (normsOf(handles(tensors), normType) as Handle[]).map((handle) => new Tensor(handle));
}

function handles(tensors: readonly Tensor[]): Handle[] {
  return tensors.map(({ handle }) => handle);
}

function gradientsOf(parameters: Iterable<Tensor> | Tensor): Tensor[] {
  const list = parameters instanceof Tensor ? [parameters] : [...parameters];
  return list.map((parameter) => parameter.grad).filter((gradient) => gradient !== null);
}

/** Foreach operators want one device and dtype a call; the groups stand in order of their first member. */
function byDeviceAndDtype(tensors: readonly Tensor[]): Tensor[][] {
  const groups = new Map<string, Tensor[]>();
  for (const tensor of tensors) {
    const key = `${tensor.device} ${tensor.dtype}`;
    const group = groups.get(key);
    if (group === undefined) {
      groups.set(key, [tensor]);
    } else {
      group.push(tensor);
    }
  }
  return [...groups.values()];
}
