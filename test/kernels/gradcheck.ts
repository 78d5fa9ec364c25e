import { type Tensor, torch } from "../../lib/index.js";

export interface GradcheckOptions {
  /** Step of the differences. */
  readonly eps?: number;
  readonly atol?: number;
  readonly rtol?: number;
}

/**
 * Compares the gradients of `compute` with central differences, as `torch.autograd.gradcheck` does, for the
 * inputs that ask for one.
 *
 * @param compute - a function of float64 inputs that gives the same for the same inputs, dropout included
 * @returns what is wrong, one line for each input; empty where all is well
 */
export function gradcheck(
  compute: (...inputs: Tensor[]) => Tensor | readonly Tensor[],
  inputs: readonly Tensor[],
  { eps = 1e-6, atol = 1e-5, rtol = 1e-3 }: GradcheckOptions = {},
): string[] {
  return torch.tidy(() => {
    const outputsOf = (...values: Tensor[]) => {
      const outputs = compute(...values);
      return Array.isArray(outputs) ? (outputs as Tensor[]) : [outputs as Tensor];
    };
    const outputs = outputsOf(...inputs);
    // One scalar of all outputs with weights of its own for each element.
    const weights = outputs.map((output) => torch.randn(output.shape, { dtype: "float64" }));
    const weigh = (values: Tensor[]): Tensor =>
      values.reduce<Tensor>(
        (sum, value, i) => sum.add(value.mul(weights[i]!).sum()),
        torch.zeros([], { dtype: "float64" }),
      );
    const wanted = inputs.filter((input) => input.requiresGrad);
    const gradients = torch.autograd.grad([weigh(outputs)], wanted, { allowUnused: true });
    const wrong: string[] = [];
    wanted.forEach((input, index) => {
      const analytic = gradients[index]?.reshape([-1]).toTypedArray() as Float64Array | undefined;
      const flat = input.detach().reshape([-1]).clone();
      const count = flat.numel();
      const numeric = Float64Array.from({ length: count }, (_, element) =>
        torch.tidy(() => {
          const at = (step: number) => {
            const moved = flat.clone();
            moved.narrow(0, element, 1).add_(step);
            const values = inputs.map((other) =>
              other === input ? moved.reshape(input.shape) : other.detach(),
            );
            return torch.noGrad(() => weigh(outputsOf(...values))).number();
          };
          return (at(eps) - at(-eps)) / (2 * eps);
        }),
      );
      const worst = numeric.reduce(
        (most, value, i) => {
          const got = analytic?.[i] ?? 0;
          const excess = Math.abs(got - value) - (atol + rtol * Math.abs(value));
          return excess > most.excess || Number.isNaN(excess)
            ? { excess, element: i, got, value }
            : most;
        },
        { excess: 0, element: -1, got: 0, value: 0 },
      );
      if (worst.element >= 0) {
        wrong.push(
          `input ${inputs.indexOf(input)} [${input.shape.join(", ")}], element ${worst.element}: gradient ${worst.got}, difference quotient ${worst.value}`,
        );
      }
    });
    return wrong;
  });
}
