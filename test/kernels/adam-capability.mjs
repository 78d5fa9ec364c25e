// Run by adamw.test.ts in a process of its own, whose ATEN_CPU_CAPABILITY chooses the kernels' build: ten clipped steps
// by our operator and by libtorch's. Prints the norm's relative error, and how far parameters and state are apart in
// units of float32's precision.
import { torch } from "../../dist/lib/index.js";

const ours = torch.ops.find("wavegpt::adamw_.default");
const libtorch = torch.ops.find("aten::_fused_adamw_.default");
const values = {
  lr: 1e-3,
  beta1: 0.9,
  beta2: 0.999,
  weightDecay: 0.01,
  eps: 1e-8,
  amsgrad: false,
  maximize: false,
};

torch.manualSeed(3);
const scope = torch.scope();
const parameter = torch.randn([5003]);
const sides = [0, 1].map(() => [
  parameter.clone(),
  torch.zeros([5003]),
  torch.zeros([5003]),
  torch.zeros([]),
]);
let worst = 0;
for (let at = 0; at < 10; at++) {
  const gradient = torch.randn([5003]);
  const exact = gradient.double().square().sum().sqrt();
  const [p, m, v, step] = sides[0];
  const norm = ours([p], [gradient], [m], [v], [], [step], { ...values, maxNorm: 1 });
  worst = Math.max(worst, Math.abs(norm.double().div(exact).sub(1).number()));
  const clipped = gradient.mul(norm.add(1e-6).reciprocal().clamp({ max: 1 }));
  const [p2, m2, v2, step2] = sides[1];
  step2.add_(1);
  libtorch([p2], [clipped], [m2], [v2], [], [step2], values);
}
const distances = sides[0].map((tensor, at) => {
  const reference = sides[1][at];
  return tensor.sub(reference).abs().max().div(reference.abs().max()).number() * 2 ** 23;
});
scope.dispose();
process.stdout.write(JSON.stringify({ norm: worst, largest: Math.max(...distances) }));
