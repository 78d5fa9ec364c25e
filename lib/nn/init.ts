import { WaveGPTError } from "../errors.js";
import type { Generator } from "../random.js";
import type { Tensor } from "../tensor.js";
import { torch } from "../torch.js";

/**
 * PyTorch's initialisers (https://docs.pytorch.org/docs/stable/nn.init.html). Each fills the tensor in place, outside
 * autograd, draws from the generator exactly as PyTorch's does, and returns the tensor.
 */

/** What follows the initialised layer; decides the gain. */
export type Nonlinearity =
  | "linear"
  | "conv1d"
  | "conv2d"
  | "conv3d"
  | "sigmoid"
  | "tanh"
  | "relu"
  | "leaky_relu"
  | "selu";

export type FanMode = "fan_in" | "fan_out";

interface Draw {
  /** The device's default generator by default. */
  generator?: Generator;
}

function draw({ generator }: Draw): { generator?: Generator } {
  return generator === undefined ? {} : { generator };
}

function fill<T extends Tensor>(tensor: T, change: (tensor: T) => void): T {
  torch.noGrad(() => {
    change(tensor);
  });
  return tensor;
}

/** Uniform on [a, b); 0 and 1 by default. */
export function uniform_<T extends Tensor>(
  tensor: T,
  { a = 0, b = 1, ...rest }: Draw & { a?: number; b?: number } = {},
): T {
  return fill(tensor, (t) => t.uniform_({ from: a, to: b, ...draw(rest) }));
}

/** Normal; mean 0 and standard deviation 1 by default. */
export function normal_<T extends Tensor>(
  tensor: T,
  { mean = 0, std = 1, ...rest }: Draw & { mean?: number; std?: number } = {},
): T {
  return fill(tensor, (t) => t.normal_({ mean, std, ...draw(rest) }));
}

/** Fills with one value. */
export function constant_<T extends Tensor>(tensor: T, value: number): T {
  return fill(tensor, (t) => t.fill_(value));
}

export function ones_<T extends Tensor>(tensor: T): T {
  return constant_(tensor, 1);
}

export function zeros_<T extends Tensor>(tensor: T): T {
  return fill(tensor, (t) => t.zero_());
}

/** The identity matrix, cut or padded with zeros. Two dimensions only. */
export function eye_<T extends Tensor>(tensor: T): T {
  if (tensor.ndim !== 2) {
    throw new WaveGPTError(
      "ERR_WAVEGPT_ARGUMENT",
      `eye_ takes a tensor of 2 dimensions; got shape [${tensor.shape.join(", ")}].`,
    );
  }
  return fill(tensor, (t) => {
    using _scope = torch.scope();
    t.zero_().diagonal().fill_(1);
  });
}

/**
 * Normal, drawn anew wherever it falls outside [a, b]: mean 0, standard deviation 1, a -2 and b 2 by default. Where
 * the interval holds little of the distribution, it samples uniformly and rejects by density, as PyTorch does.
 */
export function truncNormal_<T extends Tensor>(
  tensor: T,
  {
    mean = 0,
    std = 1,
    a = -2,
    b = 2,
    ...rest
  }: Draw & { mean?: number; std?: number; a?: number; b?: number } = {},
): T {
  const options = draw(rest);
  return fill(tensor, (t) => {
    using _scope = torch.scope();
    const inside = standardNormalCdf((b - mean) / std) - standardNormalCdf((a - mean) / std);
    if (inside > 0.3) {
      rejectOutside(t, { mean, std, a, b }, options);
    } else {
      rejectByDensity(t, { mean, std, a, b }, options);
    }
  });
}

interface Truncation {
  mean: number;
  std: number;
  a: number;
  b: number;
}

function rejectOutside(tensor: Tensor, { mean, std, a, b }: Truncation, options: Draw): void {
  // The bounds as the tensor's own dtype represents them, so that the test agrees with the values.
  const { dtype } = tensor;
  const low = torch.tensor(a, { dtype }).number();
  const high = torch.tensor(b, { dtype }).number();
  tensor.normal_({ mean, std, ...draw(options) });
  let result = tensor.detach();
  for (;;) {
    const outside = result.lt(low).logicalOr(result.gt(high));
    if (!outside.any().item()) {
      break;
    }
    const again = torch.emptyLike(result).normal_({ mean, std, ...draw(options) });
    result = torch.where(outside, again, result);
  }
  tensor.copy_(result);
}

function rejectByDensity(tensor: Tensor, { mean, std, a, b }: Truncation, options: Draw): void {
  const mode = Math.max(a, Math.min(mean, b));
  const peak = -0.5 * ((mode - mean) / std) ** 2;
  const density = (candidates: Tensor): Tensor =>
    candidates.sub_(mean).div_(std).pow_(2).mul_(-0.5).sub_(peak);
  const rejected = (candidates: Tensor): Tensor =>
    torch.emptyLike(tensor).uniform_(draw(options)).log_().gt(candidates);
  tensor.uniform_({ from: a, to: b, ...draw(options) });
  let result = tensor.detach();
  let pending = rejected(density(result.clone()));
  while (pending.any().item()) {
    const candidates = torch.emptyLike(tensor).uniform_({ from: a, to: b, ...draw(options) });
    result = torch.where(pending, candidates, result);
    pending = torch.where(pending, rejected(density(candidates)), pending);
  }
  tensor.copy_(result);
}

function standardNormalCdf(x: number): number {
  using _scope = torch.scope();
  const erf = torch.erf(torch.tensor(x / Math.sqrt(2), { dtype: "float64" })).number();
  return (1 + erf) / 2;
}

/** The gain PyTorch recommends for a nonlinearity. `param` is leaky_relu's negative slope, 0.01 by default. */
export function calculateGain(nonlinearity: Nonlinearity, param = 0.01): number {
  switch (nonlinearity) {
    case "linear":
    case "conv1d":
    case "conv2d":
    case "conv3d":
    case "sigmoid":
      return 1;
    case "tanh":
      return 5 / 3;
    case "relu":
      return Math.sqrt(2);
    case "leaky_relu":
      return Math.sqrt(2 / (1 + param * param));
    case "selu":
      return 3 / 4;
    default:
      throw new WaveGPTError(
        "ERR_WAVEGPT_ARGUMENT",
        `calculateGain does not know the nonlinearity ${String(nonlinearity)}.`,
      );
  }
}

/** How many inputs and outputs each unit of a weight has: dimension 0 is out, 1 is in, the rest is the kernel. */
export function calculateFanInAndFanOut(tensor: Tensor): { fanIn: number; fanOut: number } {
  const [outputs, inputs, ...kernel] = tensor.shape;
  if (outputs === undefined || inputs === undefined) {
    throw new WaveGPTError(
      "ERR_WAVEGPT_ARGUMENT",
      `Fan in and fan out need a tensor of at least 2 dimensions; got shape [${tensor.shape.join(", ")}].`,
    );
  }
  const field = kernel.reduce((product, size) => product * size, 1);
  return { fanIn: inputs * field, fanOut: outputs * field };
}

/** Glorot and Bengio (2010), uniform. */
export function xavierUniform_<T extends Tensor>(
  tensor: T,
  { gain = 1, ...rest }: Draw & { gain?: number } = {},
): T {
  const bound = Math.sqrt(3) * xavierStd(tensor, gain);
  return uniform_(tensor, { a: -bound, b: bound, ...draw(rest) });
}

/** Glorot and Bengio (2010), normal. */
export function xavierNormal_<T extends Tensor>(
  tensor: T,
  { gain = 1, ...rest }: Draw & { gain?: number } = {},
): T {
  return normal_(tensor, { std: xavierStd(tensor, gain), ...draw(rest) });
}

function xavierStd(tensor: Tensor, gain: number): number {
  const { fanIn, fanOut } = calculateFanInAndFanOut(tensor);
  return gain * Math.sqrt(2 / (fanIn + fanOut));
}

interface Kaiming extends Draw {
  /** leaky_relu's negative slope, 0 by default. */
  a?: number;
  /** `"fan_in"` (the default) keeps the variance forward, `"fan_out"` backward. */
  mode?: FanMode;
  /** `"leaky_relu"` by default. */
  nonlinearity?: Nonlinearity;
}

/** He et al. (2015), uniform. */
export function kaimingUniform_<T extends Tensor>(tensor: T, options: Kaiming = {}): T {
  if (tensor.numel() === 0) {
    return tensor;
  }
  const bound = Math.sqrt(3) * kaimingStd(tensor, options);
  return uniform_(tensor, { a: -bound, b: bound, ...draw(options) });
}

/** He et al. (2015), normal. */
export function kaimingNormal_<T extends Tensor>(tensor: T, options: Kaiming = {}): T {
  if (tensor.numel() === 0) {
    return tensor;
  }
  return normal_(tensor, { std: kaimingStd(tensor, options), ...draw(options) });
}

function kaimingStd(
  tensor: Tensor,
  { a = 0, mode = "fan_in", nonlinearity = "leaky_relu" }: Kaiming,
): number {
  const { fanIn, fanOut } = calculateFanInAndFanOut(tensor);
  return calculateGain(nonlinearity, a) / Math.sqrt(mode === "fan_in" ? fanIn : fanOut);
}

/** A (semi-)orthogonal matrix, times `gain` (1 by default); dimensions after the first are flattened. */
export function orthogonal_<T extends Tensor>(
  tensor: T,
  { gain = 1, ...rest }: Draw & { gain?: number } = {},
): T {
  const [rows] = tensor.shape;
  if (tensor.ndim < 2 || rows === undefined) {
    throw new WaveGPTError(
      "ERR_WAVEGPT_ARGUMENT",
      `orthogonal_ takes a tensor of at least 2 dimensions; got shape [${tensor.shape.join(", ")}].`,
    );
  }
  if (tensor.numel() === 0) {
    return tensor;
  }
  const columns = tensor.numel() / rows;
  return fill(tensor, (t) => {
    using _scope = torch.scope();
    const random = t.newEmpty([rows, columns]).normal_(draw(rest));
    const { Q, R } = torch.linalg.qr(rows < columns ? random.t() : random);
    // With R's diagonal positive, Q is uniform (https://arxiv.org/abs/math-ph/0609050).
    const uniform = Q.mul(R.diagonal().sign());
    t.viewAs(rows < columns ? uniform.t() : uniform).copy_(rows < columns ? uniform.t() : uniform);
    t.mul_(gain);
  });
}
