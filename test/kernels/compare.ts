import { type DType, type Tensor, torch } from "../../lib/index.js";

/** A function of tensors, some of which may be absent. */
export type Compute = (...inputs: (Tensor | null)[]) => Tensor;

/** Norm of the difference in relation to the norm of what was expected. */
export function distance(got: Tensor, expected: Tensor): number {
  const wanted = expected.to("float64");
  const norm = wanted.norm().number();
  return got.to("float64").sub(wanted).norm().number() / (norm === 0 ? 1 : norm);
}

/** The same values as leaves that ask for gradients. */
export function leaves(
  inputs: readonly (Tensor | null)[],
  dtype?: "float32" | "float64",
): (Tensor | null)[] {
  return inputs.map((input) => {
    if (input === null) return null;
    const values = input.detach();
    return (dtype === undefined ? values : values.to(dtype)).requiresGrad_(true);
  });
}

/** The output, and the gradients of all inputs for gradients of the output that are the same at each call. */
export function derive(compute: Compute, inputs: readonly (Tensor | null)[]): Tensor[] {
  const output = compute(...inputs);
  torch.manualSeed(7);
  const weights = torch.randn(output.shape, { dtype: "float64" }).to(output.dtype);
  const wanted = inputs.filter((input) => input !== null);
  const gradients = torch.autograd.grad([output], wanted, { gradOutputs: [weights] });
  return [output.detach(), ...gradients.map((gradient) => gradient!)];
}

/** Computes in bfloat16, under autocast. */
export const lowered = <T>(compute: () => T): T =>
  torch.autocast({ deviceType: "cpu", dtype: "bfloat16" }, compute);

/** A copy of its own that asks for a gradient. */
export function leaf(tensor: Tensor, dtype: DType = tensor.dtype): Tensor {
  return tensor.detach().to(dtype).clone().requiresGrad_(true);
}

/** Whether two tensors agree in type, shape and every bit. */
export function identical(a: Tensor, b: Tensor): boolean {
  return a.dtype === b.dtype && a.shape.join() === b.shape.join() && torch.equal(a, b);
}
