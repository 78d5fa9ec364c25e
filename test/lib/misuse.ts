import { type Tensor, torch } from "../../lib/index.js";

// What compiles, and below it what must not: types.test.ts compiles this file, nothing runs it.

declare const x: Tensor;
declare const either: Tensor | number;
declare const maybe: "float64" | undefined;

export const uses = (): unknown[] => [
  x.add(x),
  x.add(1),
  x.add(either, { alpha: 2 }),
  x.sum(),
  x.sum(1, { keepdim: true, dtype: maybe }),
  x.sum({ dim: [0, 1] }),
  x.softmax(-1),
  x.view(2, 3).view([3, 2]).view("int32"),
  x.argmax(-1),
  x.flatten(1),
  x.norm(2, { dim: 1 }),
  x.max(1).values.add(x.max(1)[1]),
  torch.cat([x, x], { dim: 1 }),
  torch.cat([x, x], 1),
  torch.zeros([2, 3], { dtype: "int64", device: "cpu", requiresGrad: true }),
  torch.randn([4], { generator: new torch.Generator() }),
  torch.where(x.gt(0), x, either),
  torch.layerNorm(x, [8], x, x, { eps: 1e-5 }),
  torch.add(x, 1, { out: x }),
  torch.linalg.slogdet(x).logabsdet,
  torch.ops.aten.add.Tensor(x, x).sum(),
  torch.ops.aten.topk.default(x, 3).indices,
  x.at(0, "1:3", "...", null, [0, 1], x, true, torch.slice(1, null, 2), "::2", ":-1"),
  x.set([0, "1:"], 5).set(["..."], [1, 2]),
  torch.tidy(() => ({ loss: x.mean() })).loss,
  torch.autograd.grad(x, [x], { allowUnused: true })[0]?.sum(),
  torch.tensor([[1, 2n, true, { re: 1, im: 2 }]]),
  torch.fromTypedArray(new Uint16Array(2), [2], { dtype: "bfloat16" }),
];

export const misuses = (): unknown[] => [
  // @ts-expect-error a string is no operand
  x.add("1"),
  // @ts-expect-error the operand is missing
  x.add(),
  // @ts-expect-error add has no such option
  x.add(x, { beta: 2 }),
  // @ts-expect-error the option is a number
  x.add(x, { alpha: "2" }),
  // @ts-expect-error in-place only with the underscore
  x.addInplace(x),
  // @ts-expect-error a misspelt option
  x.sum(1, { keepDim: true }),
  // @ts-expect-error a misspelt dtype
  x.sum({ dtype: "float" }),
  // @ts-expect-error dims are numbers
  x.transpose("0", 1),
  // @ts-expect-error one dim is missing
  x.transpose(0),
  // @ts-expect-error flags go by name
  x.sum(1, true),
  // @ts-expect-error softmax needs a dim
  x.softmax(),
  // @ts-expect-error tensors stand in an array
  torch.cat(x, x),
  // @ts-expect-error numbers are no tensors
  torch.cat([x, 1]),
  // @ts-expect-error no such dtype
  torch.zeros([2], { dtype: "float128" }),
  // @ts-expect-error a generator is an object
  torch.randn([4], { generator: 5 }),
  // @ts-expect-error methods have no `out`
  x.add(x, { out: x }),
  // @ts-expect-error two tensors to write to
  torch.max(x, 1, { out: x }),
  // @ts-expect-error a single result is no tuple
  x.max()[0],
  // @ts-expect-error no such result
  x.max(1).value,
  // @ts-expect-error a tensor is no number
  x.sum() + 1,
  // @ts-expect-error no such function
  torch.softmaxx(x, 1),
  // @ts-expect-error inner operators are reached through torch.ops
  torch._softmax(x, 1, false),
  // @ts-expect-error no such operator
  torch.ops.aten.addd,
  // @ts-expect-error no such overload
  torch.ops.aten.add.Tensors,
  // @ts-expect-error the text is no slice
  x.at("1-3"),
  // @ts-expect-error undefined is no index
  x.at(undefined),
  // @ts-expect-error indices stand in an array
  x.set(0, 1),
  // @ts-expect-error shape cannot be set
  Object.assign<Tensor, Pick<Tensor, "shape">>(x, { shape: "1" }),
  // @ts-expect-error tidy returns what the function returns
  torch.tidy(() => 1).sum(),
  // @ts-expect-error the result may be null
  torch.autograd.grad(x, x, { allowUnused: true })[0].sum(),
  // @ts-expect-error a string is no data
  torch.tensor("1"),
  // @ts-expect-error a plain array is no typed array
  torch.fromTypedArray([1, 2]),
  // @ts-expect-error autocast needs a device type
  torch.autocast({}, () => x),
];
