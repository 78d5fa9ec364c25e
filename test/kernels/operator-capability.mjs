// Run in a process of its own, whose environment chooses the kernels' build: compares the operator that is named, and
// its gradients, with float64. Prints the largest relative distance for each type.
import { torch } from "../../dist/lib/index.js";

const PROBLEMS = {
  linear: { shapes: [[300, 60], [70, 60], [70]], last: ["gelu"], output: [300, 70] },
  mlp: { shapes: [[300, 60], [150, 60], [150], [60, 150], [60]], output: [300, 60] },
  wave_layer: {
    shapes: [[30, 40, 15], [60], [60], [70, 60], [70]],
    call: (operator, x, ...parameters) => operator(x, 4, ...parameters, 1e-5),
    output: [30, 10, 70],
  },
  attention: { shapes: [[2, 141, 90]], last: [3, 0.2, true], output: [2, 141, 30] },
  add_dropout_layer_norm: {
    shapes: [[7, 35, 150], [7, 35, 150], [150], [150]],
    call: (operator, ...inputs) => {
      const [sum, normed] = operator(...inputs, 1e-5, 0.2, true);
      return sum.add(normed);
    },
    output: [7, 35, 150],
  },
  gated_conv: {
    shapes: [[3, 70, 30], [3, 5, 30], [80, 60], [80], [30, 40], [30]],
    call: (operator, x, past, ...parameters) => operator(x, past.detach(), ...parameters),
    output: [3, 70, 30],
  },
  retention: {
    rounded: true,
    shapes: [[3, 70, 96]],
    call: (operator, x) =>
      operator(
        x,
        torch.full([3, 2, 12, 12], 0.1, { dtype: x.dtype === "float64" ? x.dtype : "float32" }),
        [0.9, 0.99],
        1e-5,
      )[0],
    output: [3, 70, 24],
  },
  token_shift: {
    rounded: true,
    shapes: [[3, 70, 45], [3, 1, 45], [45]],
    call: (operator, x, past, share) => operator(x, past.detach(), share),
    output: [3, 70, 45],
  },
  mix: { shapes: [[3, 70, 45], [3, 1, 45], [1]], output: [3, 70, 45] },
  token_position_embedding: {
    shapes: [
      [30, 45],
      [12, 45],
    ],
    call: (operator, ...weights) =>
      operator(torch.arange(70).remainder(30).reshape([7, 10]), ...weights, 2),
    output: [7, 10, 45],
  },
};
const name = process.argv[2];
const {
  shapes,
  last = [],
  output,
  // What autocast does not lower: its inputs themselves are bfloat16.
  rounded = false,
  call = (operator, ...inputs) => operator(...inputs, ...last),
} = PROBLEMS[name];
const fused = torch.ops.find(`wavegpt::${name}`);

const scope = torch.scope();
torch.manualSeed(3);
const inputs = shapes.map((shape) => torch.randn(shape, { dtype: "float64" }).mul(0.3));
const weights = torch.randn(output, { dtype: "float64" });
const derive = (dtype, autocast = false) => {
  const leaves = inputs.map((input) => input.to(dtype).detach().requiresGrad_(true));
  torch.manualSeed(4);
  const compute = () => call(fused, ...leaves);
  const y = autocast
    ? torch.autocast({ deviceType: "cpu", dtype: "bfloat16" }, compute)
    : compute();
  const gradients = torch.autograd.grad([y], leaves, {
    gradOutputs: [weights.to(y.dtype)],
    allowUnused: true,
  });
  return [y.detach(), ...gradients]
    .filter((tensor) => tensor !== null)
    .map((tensor) => tensor.to("float64"));
};
const exact = derive("float64");
const furthest = (values) =>
  Math.max(...values.map((value, i) => value.sub(exact[i]).norm().div(exact[i].norm()).number()));
const float32 = furthest(derive("float32"));
const bfloat16 = furthest(rounded ? derive("bfloat16") : derive("float32", true));
scope.dispose();
process.stdout.write(JSON.stringify({ float32, bfloat16 }));
