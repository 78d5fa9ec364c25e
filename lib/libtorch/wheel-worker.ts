/**
 * A process of its own that fetches wheels while the one that imports wavegpt waits for it: an import cannot wait for
 * anything but a process. Its argument is JSON; what went wrong goes to its output, progress to stderr.
 */
import { downloadWheels } from "./wheel-download.js";
import type { Wheel, WheelBuild } from "./wheel-selection.js";

const { wheels, build, directory } = JSON.parse(process.argv[2] ?? "") as {
  wheels: Wheel[];
  build: WheelBuild;
  directory: string;
};
try {
  await downloadWheels(wheels, build, directory);
} catch (error) {
  process.stdout.write((error as Error).message);
  process.exitCode = 1;
}
