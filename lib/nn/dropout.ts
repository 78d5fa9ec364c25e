import type { Tensor } from "../tensor.js";
import { checkProbability, dropout } from "./functional.js";
import { Module } from "./module.js";

/** While training, zeroes each element with probability `p` and scales the others by 1 / (1 - p). */
export class Dropout extends Module {
  readonly p: number;

  constructor(p = 0.5) {
    super();
    checkProbability(p);
    this.p = p;
  }

  forward(input: Tensor): Tensor {
    return dropout(input, { p: this.p, training: this.training });
  }

  protected override extraRepr(): string {
    return `p=${this.p}, inplace=False`;
  }
}
