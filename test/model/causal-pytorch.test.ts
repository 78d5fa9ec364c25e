// @module-tag gpu

import { join } from "node:path";
import { expect, it } from "vitest";
import { safetensors, type Tensor, torch } from "../../lib/index.js";
import { CausalWaveNet } from "../../src/model/causal-wavenet.js";
import { KERNELS } from "../../src/model/index.js";
import { RetentionLayer } from "../../src/model/retention.js";
import { inTemporaryFolder, pytorch } from "../nn/pytorch.js";
import { maxError } from "./compare.js";

// The same network from torch's own convolutions, over the whole text at once.
const CONVOLUTIONS = `
weights = load_file(sys.argv[2])
x = weights.pop("x").transpose(1, 2)
x.requires_grad_(True)
start = x
names = [name for name in weights]
for name in names:
    weights[name].requires_grad_(True)
channels = x.shape[1]
def norm(x, name):
    return F.layer_norm(x.transpose(1, 2), (channels,), weights[name + ".weight"], weights[name + ".bias"]).transpose(1, 2)
for layer in range(int(sys.argv[3])):
    conv, project = (weights[f"layers.{layer}.{name}.weight"] for name in ("conv", "out"))
    taps = torch.stack([conv[:, :channels], conv[:, channels:]], -1)
    padded = F.pad(norm(x, f"layers.{layer}.norm"), (2 ** layer, 0))
    z = F.conv1d(padded, taps, weights[f"layers.{layer}.conv.bias"], dilation=2 ** layer)
    gated = torch.tanh(z[:, :channels]) * torch.sigmoid(z[:, channels:])
    x = x + F.conv1d(gated, project[:, :, None], weights[f"layers.{layer}.out.bias"])
h = norm(x, "norm")
keep("h", h.transpose(1, 2))
h.pow(3).sum().backward()
keep("d_x", start.grad.transpose(1, 2))
for name in names:
    keep(name, weights[name].grad)
`;

it.each(KERNELS)(
  "the causal WaveNet is PyTorch's dilated convolutions of its weights (%s)",
  (kernels) => {
    using _ = torch.scope();
    torch.manualSeed(11);
    const layers = 5;
    const net = new CausalWaveNet(24, { layers, memory: 0 }, 4, kernels, { dtype: "float64" });
    const x = torch.randn([2, 77, 24], { dtype: "float64" });
    const expected = inTemporaryFolder((folder) => {
      const path = join(folder, "weights.safetensors");
      safetensors.save(path, { ...net.stateDict(), x });
      return pytorch(CONVOLUTIONS, path, String(layers));
    });
    x.requiresGrad_(true);
    const { h } = net.forward(x, net.emptyHistory(2, { dtype: "float64" }));
    h.pow(3).sum().backward();
    // Float64 summed in another order; the gradients are sums over 154 positions of numbers about 1.
    expect(maxError(h, expected.h!)).toBeLessThan(1e-13);
    expect(maxError(x.grad!, expected.d_x!)).toBeLessThan(1e-12);
    for (const [name, parameter] of net.namedParameters()) {
      if (name.endsWith("weight"))
        expect(maxError(parameter.grad!, expected[name]!)).toBeLessThan(1e-11);
    }
  },
);

// Retention from its definition, a position at a time, on from a state.
const RECURRENCE = `
weights = load_file(sys.argv[2])
heads = int(sys.argv[3])
for tensor in weights.values():
    tensor.requires_grad_(True)
x, state, before = weights["x"], weights["state"].detach(), weights["before"].detach()
rows, length, channels = x.shape
width = channels // heads
decays = 1 - 2.0 ** -torch.linspace(5, 11, heads, dtype=torch.float64)
outs = []
for t in range(length):
    share = weights["shift"]
    read = (1 - share) * x[:, t] + share * (before[:, 0] if t == 0 else x[:, t - 1])
    q, k, v, gate = F.linear(read, weights["qkvg.weight"], weights["qkvg.bias"]).view(rows, 4, heads, width).unbind(1)
    state = decays[:, None, None] * state + torch.einsum("bhi,bhj->bhij", k, v) / math.sqrt(width)
    o = torch.einsum("bhi,bhij->bhj", q, state)
    normed = torch.stack([F.layer_norm(o[:, head], (width,)) for head in range(heads)], 1)
    outs.append(F.linear((normed * F.silu(gate)).reshape(rows, channels), weights["out.weight"], weights["out.bias"]))
y = torch.stack(outs, 1)
keep("y", y)
keep("next", state)
y.pow(3).sum().backward()
keep("d_x", x.grad)
for name in ("shift", "qkvg.weight", "qkvg.bias", "out.weight", "out.bias"):
    keep(name, weights[name].grad)
`;

it.each(KERNELS)("retention is the recurrence that defines it, in PyTorch (%s)", (kernels) => {
  using _ = torch.scope();
  torch.manualSeed(12);
  const heads = 4;
  const layer = new RetentionLayer(24, heads, kernels, { dtype: "float64" });
  const x = torch.randn([2, 77, 24], { dtype: "float64" });
  const [state, before] = layer
    .historyShapes(2)
    .map((shape) => torch.randn(shape, { dtype: "float64" })) as [Tensor, Tensor];
  const expected = inTemporaryFolder((folder) => {
    const path = join(folder, "weights.safetensors");
    safetensors.save(path, { ...layer.stateDict(), x, state, before });
    return pytorch(RECURRENCE, path, String(heads));
  });
  x.requiresGrad_(true);
  const { y, past } = layer.forward(x, [state, before]);
  y.pow(3).sum().backward();
  // Float64 summed in another order.
  expect(maxError(y, expected.y!)).toBeLessThan(1e-12);
  expect(maxError(past[0]!, expected.next!)).toBeLessThan(1e-12);
  expect(past[1]!.equal(x.detach().narrow(1, 76, 1))).toBe(true);
  expect(maxError(x.grad!, expected.d_x!)).toBeLessThan(1e-11);
  for (const [name, parameter] of layer.namedParameters()) {
    if (name.startsWith("norm")) continue;
    expect(maxError(parameter.grad!, expected[name]!)).toBeLessThan(1e-10);
  }
});
