import { writeFileSync } from "node:fs";
import { describeMachine, machine } from "./machine.js";
import { type BenchOptions, PARTS, readOptions, USAGE } from "./options.js";
import { MEASURED } from "./parts.js";
import { fillFile, formatSaved } from "./report.js";

async function bench(options: BenchOptions): Promise<void> {
  const own = machine();
  const report: Record<string, unknown> = { date: new Date().toISOString(), machine: own, options };
  console.log(`${describeMachine(own)}\n`);
  for (const name of PARTS.filter((part) => options.parts.includes(part))) {
    const { measure, format } = MEASURED[name];
    const measured = await measure(options);
    report[name] = measured;
    // After each part: what a later one fails at is not to cost what was measured.
    if (options.json !== null) writeFileSync(options.json, `${JSON.stringify(report, null, 2)}\n`);
    console.log(`${format(measured)}\n`);
  }
}

let options: BenchOptions | null = null;
try {
  options = readOptions(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n\n${USAGE}`);
  process.exit(2);
}
if (options === null) process.stdout.write(USAGE);
else if (options.report !== null && options.into !== null) fillFile(options.into, options.report);
else if (options.report !== null) console.log(formatSaved(options.report));
else await bench(options);
