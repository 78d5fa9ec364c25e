/**
 * `npm run test:gpu`: the tests that compute on a device (their files' tag is gpu), on WAVEGPT_TEST_DEVICE, else on
 * the platform's accelerator. Arguments go on to vitest.
 */
import { runModule } from "./process.mjs";

const device = process.env.WAVEGPT_TEST_DEVICE ?? (process.platform === "darwin" ? "mps" : "cuda");
const status = runModule(
  "vitest/vitest.mjs",
  [
    "run",
    "--project",
    "unit",
    "--tags-filter",
    "gpu",
    "--experimental.preParse",
    ...process.argv.slice(2),
  ],
  { env: { ...process.env, WAVEGPT_TEST_DEVICE: device } },
);
process.exit(status);
