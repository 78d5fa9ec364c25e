import { writeFileSync } from "node:fs";
import { measureKernels } from "./kernels/bench.js";
import { formatKernels } from "./kernels/format.js";
import { describeMachine, machine } from "./machine.js";
import { type BenchOptions, readOptions, USAGE } from "./options.js";
import { formatOverhead, measureOverhead } from "./overhead/bench.js";
import { profileSteps } from "./profile/bench.js";
import { formatProfile } from "./profile/format.js";
import { measureScaling } from "./scaling/bench.js";
import { formatScaling } from "./scaling/format.js";
import { measureSteps } from "./step/bench.js";
import { formatSteps } from "./step/format.js";

async function bench(options: BenchOptions): Promise<void> {
  const own = machine();
  const report: Record<string, unknown> = { date: new Date().toISOString(), machine: own, options };
  console.log(`${describeMachine(own)}\n`);
  if (options.parts.includes("overhead")) {
    const overhead = await measureOverhead(options);
    report.overhead = overhead;
    console.log(`${formatOverhead(overhead)}\n`);
  }
  if (options.parts.includes("step")) {
    const step = await measureSteps(options);
    report.step = step;
    console.log(`${formatSteps(step)}\n`);
  }
  if (options.parts.includes("kernels")) {
    const kernels = await measureKernels(options);
    report.kernels = kernels;
    console.log(`${formatKernels(kernels)}\n`);
  }
  if (options.parts.includes("scaling")) {
    const scaling = await measureScaling(options);
    report.scaling = scaling;
    console.log(`${formatScaling(scaling)}\n`);
  }
  if (options.parts.includes("profile")) {
    const profile = await profileSteps(options);
    report.profile = profile;
    console.log(`${formatProfile(profile)}\n`);
  }
  if (options.json !== null) writeFileSync(options.json, `${JSON.stringify(report, null, 2)}\n`);
}

let options: BenchOptions | null = null;
try {
  options = readOptions(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n\n${USAGE}`);
  process.exit(2);
}
if (options === null) process.stdout.write(USAGE);
else await bench(options);
