import { type Tensor, torch } from "../../lib/index.js";
import { device } from "../device.js";

/** The largest absolute difference; infinite where the shapes differ or a number is not one. */
export function maxError(a: Tensor, b: Tensor): number {
  if (a.shape.join() !== b.shape.join()) return Number.POSITIVE_INFINITY;
  return torch.tidy(() => {
    const error = a.detach().cpu().sub(b.detach().cpu()).abs().max().number();
    return Number.isNaN(error) ? Number.POSITIVE_INFINITY : error;
  });
}

/** Whether two tensors are the same, bit for bit (but for the sign of zero). */
export function identical(a: Tensor, b: Tensor): boolean {
  return a.shape.join() === b.shape.join() && torch.tidy(() => torch.equal(a, b) as boolean);
}

/** Random token ids on the device under test, (rows, length). */
export function randomTokens(rows: number, length: number, vocabSize: number): Tensor {
  return torch.randint(vocabSize, [rows, length], { dtype: "int64", device });
}
