import { locateLibtorch } from "../lib/libtorch/index.js";
import { preparePython } from "./python-environment.js";

/** Once a run, before any test file: what is fetched at first use is fetched here, with its progress in sight. */
export function setup(): void {
  // Test files run side by side: OpenMP threads that spin while they wait took 20 times as long here.
  process.env.OMP_WAIT_POLICY ??= "PASSIVE";
  locateLibtorch();
  process.env.WAVEGPT_TEST_PYTHON = preparePython();
}
