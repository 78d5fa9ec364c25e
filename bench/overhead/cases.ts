import { nn, torch } from "../../lib/index.js";

/** One thing to do, as a user writes it in either language; small enough that the call costs more than its work. */
export interface OverheadCase {
  readonly typescript: string;
  readonly python: string;
  /** Does it `times` times. Written out, as a user's loop is: a function given the operator would add a call. */
  readonly run: (times: number) => void;
}

const matrix = () => torch.randn([4, 4]);
torch.manualSeed(0);
const x = matrix();
const y = matrix();
const z = matrix();
const s = torch.randn([]);
/** Requires a gradient, as parameters do. */
const p = torch.randn([4, 4], { requiresGrad: true });
const b = torch.randn([4], { requiresGrad: true });
const { linear, layerNorm } = nn.functional;

/** The names are those of `bench/peer/overhead.py`. */
export const CASES: readonly OverheadCase[] = [
  {
    typescript: "torch.add(x, y)",
    python: "torch.add(x, y)",
    run: (times) => {
      for (let i = 0; i < times; i++) torch.add(x, y);
    },
  },
  {
    typescript: "x.add(y)",
    python: "x + y",
    run: (times) => {
      for (let i = 0; i < times; i++) x.add(y);
    },
  },
  {
    typescript: "p.add(y)",
    python: "p + y",
    run: (times) => {
      for (let i = 0; i < times; i++) p.add(y);
    },
  },
  {
    typescript: "x.add(1)",
    python: "x + 1",
    run: (times) => {
      for (let i = 0; i < times; i++) x.add(1);
    },
  },
  {
    typescript: "x.add(y, { alpha: 2 })",
    python: "torch.add(x, y, alpha=2)",
    run: (times) => {
      for (let i = 0; i < times; i++) x.add(y, { alpha: 2 });
    },
  },
  {
    typescript: "torch.add(x, y, { out: z })",
    python: "torch.add(x, y, out=z)",
    run: (times) => {
      for (let i = 0; i < times; i++) torch.add(x, y, { out: z });
    },
  },
  {
    typescript: "z.add_(y)",
    python: "z.add_(y)",
    run: (times) => {
      for (let i = 0; i < times; i++) z.add_(y);
    },
  },
  {
    typescript: "x.mul(y)",
    python: "x * y",
    run: (times) => {
      for (let i = 0; i < times; i++) x.mul(y);
    },
  },
  {
    typescript: "p.mul(y)",
    python: "p * y",
    run: (times) => {
      for (let i = 0; i < times; i++) p.mul(y);
    },
  },
  {
    typescript: "x.relu()",
    python: "x.relu()",
    run: (times) => {
      for (let i = 0; i < times; i++) x.relu();
    },
  },
  {
    typescript: "x.view(2, 8)",
    python: "x.view(2, 8)",
    run: (times) => {
      for (let i = 0; i < times; i++) x.view(2, 8);
    },
  },
  {
    typescript: "x.reshape([2, 8])",
    python: "x.reshape((2, 8))",
    run: (times) => {
      for (let i = 0; i < times; i++) x.reshape([2, 8]);
    },
  },
  {
    typescript: "x.transpose(0, 1)",
    python: "x.transpose(0, 1)",
    run: (times) => {
      for (let i = 0; i < times; i++) x.transpose(0, 1);
    },
  },
  {
    typescript: "x.at(0)",
    python: "x[0]",
    run: (times) => {
      for (let i = 0; i < times; i++) x.at(0);
    },
  },
  {
    typescript: 'x.at(":", "1:3")',
    python: "x[:, 1:3]",
    run: (times) => {
      for (let i = 0; i < times; i++) x.at(":", "1:3");
    },
  },
  {
    typescript: "x.sum()",
    python: "x.sum()",
    run: (times) => {
      for (let i = 0; i < times; i++) x.sum();
    },
  },
  {
    typescript: "x.sum(1, { keepdim: true })",
    python: "x.sum(1, keepdim=True)",
    run: (times) => {
      for (let i = 0; i < times; i++) x.sum(1, { keepdim: true });
    },
  },
  {
    typescript: "x.softmax(-1)",
    python: "x.softmax(-1)",
    run: (times) => {
      for (let i = 0; i < times; i++) x.softmax(-1);
    },
  },
  {
    typescript: "torch.cat([x, y])",
    python: "torch.cat([x, y])",
    run: (times) => {
      for (let i = 0; i < times; i++) torch.cat([x, y]);
    },
  },
  {
    typescript: "torch.zeros([4, 4])",
    python: "torch.zeros((4, 4))",
    run: (times) => {
      for (let i = 0; i < times; i++) torch.zeros([4, 4]);
    },
  },
  {
    typescript: "x.matmul(y)",
    python: "x @ y",
    run: (times) => {
      for (let i = 0; i < times; i++) x.matmul(y);
    },
  },
  {
    typescript: "linear(x, p, b)",
    python: "F.linear(x, p, b)",
    run: (times) => {
      for (let i = 0; i < times; i++) linear(x, p, b);
    },
  },
  {
    typescript: "layerNorm(x, [4], { weight: b, bias: b })",
    python: "F.layer_norm(x, (4,), b, b)",
    run: (times) => {
      for (let i = 0; i < times; i++) layerNorm(x, [4], { weight: b, bias: b });
    },
  },
  {
    typescript: "x.shape",
    python: "x.shape",
    run: (times) => {
      for (let i = 0; i < times; i++) void x.shape;
    },
  },
  {
    typescript: "s.item()",
    python: "s.item()",
    run: (times) => {
      for (let i = 0; i < times; i++) s.item();
    },
  },
  {
    typescript: "p.mul(y).sum().backward()",
    python: "(p * y).sum().backward()",
    run: (times) => {
      for (let i = 0; i < times; i++) p.mul(y).sum().backward();
    },
  },
];
