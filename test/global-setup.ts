import { locateLibtorch } from "../lib/libtorch/index.js";
import { preparePython } from "./python-environment.js";

/** Once a run, before any test file: what is fetched at first use is fetched here, with its progress in sight. */
export function setup(): void {
  locateLibtorch();
  process.env.WAVEGPT_TEST_PYTHON = preparePython();
}
